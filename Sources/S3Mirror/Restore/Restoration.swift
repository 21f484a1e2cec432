import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import Transfers

/// Restores from one remote: chooses the checkpoint and fetches it.
struct Restoration: Sendable {
  let reader: UnitReader
  let job: DownloadJob
  /// How many checkpoints are judged at one time.
  let width: Int
  /// Nil fetches the whole checkpoint.
  var member: MemberPart?

  /// All checkpoints, the newest first.
  func list() async throws -> [Checkpoint] {
    let (catalog, _, receipts) = try await reader.catalog()
    let judged = await concurrentEach(catalog.units.enumerated(), width: width) {
      place, unit -> (place: Int, Result<Checkpoint, any Error>) in
      do {
        let judged = try await reader.judge(unit, receipts: receipts[unit.path])
        return (place, .success(Checkpoint(judged)))
      } catch {
        return (place, .failure(error))
      }
    }
    return try judged.sorted { $0.place < $1.place }.map { try $0.1.get() }
  }

  /// Restores one checkpoint: the named one, or the newest complete one.
  ///
  /// - Parameter tell: receives notices for the user.
  /// - Throws: `MirrorError`; `incomplete` if no checkpoint is complete, with the reason for each of the
  ///   newest.
  func run(unit name: String?, tell: (String) -> Void) async throws -> RestoredCheckpoint {
    let (catalog, trackers, receipts) = try await reader.catalog()
    if let name {
      return try await fetch(try await choose(name, from: catalog, receipts), trackers, tell)
    }
    let search = try await newestComplete(of: catalog, receipts)
    guard let judged = search.found else {
      throw MirrorError(
        .incomplete,
        "no checkpoint under \(reader.location.url) is known to be complete; --unit NAME restores one that nothing marks",
        failures: search.passedOver)
    }
    search.tell(tell)
    return try await fetch(judged, trackers, tell)
  }

  /// Restores the newest complete checkpoint; nil if there is none.
  func runIfAny(tell: (String) -> Void) async throws -> RestoredCheckpoint? {
    guard let (catalog, trackers, receipts) = try await reader.catalogIfAny() else {
      tell("there is nothing at \(reader.location.url), so nothing was restored")
      return nil
    }
    let search = try await newestComplete(of: catalog, receipts)
    search.tell(tell)
    guard let judged = search.found else {
      tell("no checkpoint under \(reader.location.url) is known to be complete, so nothing was restored")
      return nil
    }
    return try await fetch(judged, trackers, tell)
  }

  private func fetch(
    _ whole: UnitReader.Judged, _ trackers: [RelativePath: RemoteObject], _ tell: (String) -> Void
  ) async throws -> RestoredCheckpoint {
    let judged = try member.map { member throws(MirrorError) in try member.part(of: whole) } ?? whole
    if let member, judged.objects.isEmpty {
      tell("member \(member.member) wrote nothing of \(whole.unit.path)")
    }
    let restore = UnitRestore(
      job: job, judged: judged, trackers: trackers, copies: try await reader.copies(of: judged.unit),
      marks: reader.names.marks)
    let outcome = try await restore.run()
    outcome.notices.forEach(tell)
    guard outcome.download.failures.isEmpty else {
      throw MirrorError(
        .incomplete,
        "\(judged.unit.path): \(outcome.download.failures.count) of its files could not be fetched; what has arrived is kept, and restore fetches the rest",
        failures: outcome.download.failures)
    }
    return RestoredCheckpoint(
      checkpoint: Checkpoint(judged), path: path(of: judged), files: outcome.download.files,
      bytes: outcome.download.bytes, unchanged: outcome.download.unchanged)
  }

  /// The local path of the checkpoint. For a checkpoint of several files this is their directory with the
  /// common part of their names.
  private func path(of judged: UnitReader.Judged) -> FilePath {
    judged.unit.path.isRoot ? job.local : job.local.appending(judged.unit.path.string)
  }

  private func choose(
    _ name: String, from catalog: UnitCatalog, _ receipts: [RelativePath: ListedReceipts]
  ) async throws -> UnitReader.Judged {
    let bare = name == "." ? "" : name.hasSuffix("/") ? String(name.dropLast()) : name
    guard let unit = catalog.unit(named: RelativePath(bare)) else {
      throw MirrorError(
        .local,
        "there is no checkpoint \"\(name)\" under \(reader.location.url); --list shows those that there are")
    }
    let judged = try await reader.judge(unit, receipts: receipts[unit.path])
    if case .incomplete(let reason) = judged.state {
      throw MirrorError(
        .incomplete, "\(unit.path) is not complete",
        failures: [.init(path: unit.path.description, reason: reason)])
    }
    return judged
  }

  /// The newest complete checkpoint, and the newer ones that are not complete.
  private struct Search {
    var found: UnitReader.Judged?
    var passedOver: [MirrorError.Failure] = []

    func tell(_ tell: (String) -> Void) {
      for failure in passedOver {
        let rank = found == nil ? "not restored" : "newer and is not restored"
        tell("\(failure.path) is \(rank): \(failure.reason)")
      }
    }
  }

  private func newestComplete(
    of catalog: UnitCatalog, _ receipts: [RelativePath: ListedReceipts]
  ) async throws -> Search {
    var search = Search()
    for unit in catalog.units {
      let judged = try await reader.judge(unit, receipts: receipts[unit.path])
      switch judged.state {
      case .complete:
        search.found = judged
        return search
      case .unproved(let reason), .incomplete(let reason):
        search.passedOver.append(.init(path: unit.path.description, reason: reason))
      }
    }
    return search
  }
}

extension Checkpoint {
  init(_ judged: UnitReader.Judged) {
    name = judged.unit.path.description
    files = judged.objects.count
    bytes = judged.objects.values.reduce(0) { $0.addingSaturated($1.byteCount) }
    published = judged.objects.values.map(\.lastModified).max() ?? 0
    namedBy = (judged.unit.trackers.map(\.path) + judged.unit.copies).sorted().map(\.string)
    switch judged.state {
    case .complete(let proof): (state, reason) = (.complete, proof)
    case .unproved(let cause): (state, reason) = (.unproved, cause)
    case .incomplete(let cause): (state, reason) = (.incomplete, cause)
    }
  }
}
