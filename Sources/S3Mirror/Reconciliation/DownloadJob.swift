import LocalTree
import LoopThread
import MirrorModel
import S3Client
import SystemPackage
import Transfers

/// One download: an object, or everything under a prefix.
struct DownloadJob: Sendable {
  enum Mode: Sendable, Hashable {
    /// The remote is the truth.
    case mirror
    /// What is later here wins and stays (SPEC 2, sync); nothing is deleted, and an absent remote is a first run.
    case resume
  }

  struct Outcome: Sendable {
    var files = 0
    var bytes: Int64 = 0
    var unchanged = 0
    var deleted = 0
    var withheld: [RelativePath: WithheldReason] = [:]
    var failures: [MirrorError.Failure] = []
    /// The path that the caller gets: a directory, or the file of a single object.
    var local: FilePath
  }

  let name: String
  let location: S3Location
  let local: FilePath
  /// The local path was written with a trailing slash, or is a directory: a single object goes into it.
  let isIntoDirectory: Bool
  let filter: PathFilter
  let mode: Mode
  let delete: Bool
  let bound: DeleteBound
  let compare: ComparePolicy
  let width: Int
  let store: any ObjectStore
  let resources: TransferResources
  let journal: Journal
  let wallClock: @Sendable () -> Int64

  private struct Wanted: Sendable {
    var path: RelativePath
    var key: String
    var object: RemoteObject
  }

  private enum Step: Sendable {
    case fetched(Int64)
    case unchanged
    case failed(MirrorError.Failure)
  }

  /// - Throws: `S3Error`; `TreeError`; `MirrorError` when there is nothing under the remote.
  func run() async throws -> Outcome {
    switch try await RemoteKind.find(location, in: store) {
    case .object(let object): try await fetchObject(object)
    case .prefix: try await fetchPrefix()
    }
  }

  // MARK: One object

  private func fetchObject(_ object: RemoteObject) async throws -> Outcome {
    let name = FilePath.Component(String(RelativePath(location.key).name))
    let target = isIntoDirectory ? name.map { local.appending($0) } : local
    guard let target, let fileName = target.lastComponent else {
      throw MirrorError(.invalid, "\(location.url): no local file name; name a local path")
    }
    let root = try await openRoot(target.removingLastComponent())
    let wanted = Wanted(path: RelativePath(fileName.string), key: location.key, object: object)
    var outcome = Outcome(local: target)
    note(await fetch(wanted, to: root, mapping: .file(name: wanted.path, key: wanted.key)), in: &outcome)
    return outcome
  }

  // MARK: A prefix

  private func fetchPrefix() async throws -> Outcome {
    var outcome = Outcome(local: local)
    let (wanted, markers) = try await list(noting: &outcome)
    if wanted.isEmpty, markers.isEmpty, outcome.failures.isEmpty, mode == .mirror,
      !location.isExplicitPrefix || delete
    {
      throw MirrorError(
        .local, "there is nothing at \(location.url): neither an object nor a prefix; check the URL")
    }
    let root = try await openRoot(local)
    for directory in markers {
      do {
        try root.makeDirectory(directory)
      } catch {
        outcome.failures.append(.init(path: directory.string, reason: cause(of: error)))
      }
    }
    let mapping = KeyMapping.tree(prefix: location.prefix)
    let steps = await concurrentEach(wanted.values, width: width) {
      await fetch($0, to: root, mapping: mapping)
    }
    for step in steps { note(step, in: &outcome) }
    if delete, mode == .mirror { await removeExtras(keeping: wanted, of: root, in: &outcome) }
    return outcome
  }

  /// Everything under the prefix that has a safe place here; what has none is a failure, named.
  private func list(noting outcome: inout Outcome) async throws -> (
    [RelativePath: Wanted], markers: Set<RelativePath>
  ) {
    let mapping = KeyMapping.tree(prefix: location.prefix)
    var listing = Listing(store: store, prefix: location.prefix, order: .any)
    var wanted: [RelativePath: Wanted] = [:]
    var markers: Set<RelativePath> = []
    while let object = try await listing.next() {
      guard let path = mapping.path(forKey: object.key) else { continue }
      do {
        let place = try KeyPlace(key: path.string)
        guard !place.isDirectoryMarker else {
          markers.insert(place.path)
          continue
        }
        guard !filter.excludes(place.path, .file) else { continue }
        let remote = RemoteObject(
          byteCount: object.byteCount, etag: object.etag, lastModified: object.lastModified ?? 0)
        wanted[place.path] = Wanted(path: place.path, key: object.key, object: remote)
      } catch {
        outcome.failures.append(.init(path: object.key, reason: "the key is refused: \(error)"))
      }
    }
    var directories = markers
    for path in wanted.keys { directories.formUnion(path.ancestors) }
    // A file and a prefix of one name cannot both lie here; neither is chosen by deleting the other.
    for path in wanted.keys where directories.contains(path) {
      wanted[path] = nil
      outcome.failures.append(
        .init(path: path.string, reason: "S3 has both this object and objects below it; rename one of them"))
    }
    return (wanted, markers)
  }

  private func openRoot(_ path: FilePath) async throws -> TreeRoot {
    try await resources.readers.run {
      try createDirectories(path)
      return try TreeRoot(path: path)
    }
  }

  // MARK: One file

  private func fetch(_ wanted: Wanted, to root: TreeRoot, mapping: KeyMapping) async -> Step {
    let start = ContinuousClock.now
    do {
      guard try await isNeeded(wanted, in: root, mapping: mapping) else { return .unchanged }
      let downloader = Downloader(store: store, resources: resources)
      let receipt = try await downloader.download(
        wanted.key, object: wanted.object, to: wanted.path, of: root)
      journal.downloaded(receipt, mirror: name, path: wanted.path, key: wanted.key, took: .now - start)
      return .fetched(receipt.byteCount)
    } catch {
      journal.failed(.download, mirror: name, path: wanted.path, key: wanted.key, error: error)
      return .failed(.init(path: wanted.path.string, reason: cause(of: error)))
    }
  }

  private func isNeeded(_ wanted: Wanted, in root: TreeRoot, mapping: KeyMapping) async throws -> Bool {
    let entry = try root.look(at: wanted.path)
    if let entry, entry.kind != .file {
      throw MirrorError(.local, "something that is no file has its name here")
    }
    let comparison = Comparison(policy: compare)
    switch comparison.download(local: entry?.stamp, remote: wanted.object) {
    case .same:
      return false
    case .copy(.absent):
      return true
    case .copy:
      return !isLater(entry?.stamp, than: wanted.object)
    case .suspect:
      guard let stamp = entry?.stamp else { return true }
      let content = ContentComparison(
        root: root, mapping: mapping, store: store, readers: resources.readers, policy: compare, ledger: nil)
      if try await content.isSame(wanted.path, stamp: stamp, remote: wanted.object) { return false }
      return !isLater(stamp, than: wanted.object)
    }
  }

  /// Whether a resumed run keeps its own file: it changed after the object was published.
  private func isLater(_ stamp: FileStamp?, than object: RemoteObject) -> Bool {
    guard mode == .resume, let stamp else { return false }
    return max(stamp.modified, stamp.changed) > object.lastModified
  }

  private func note(_ step: Step, in outcome: inout Outcome) {
    switch step {
    case .fetched(let bytes):
      outcome.files += 1
      outcome.bytes += bytes
    case .unchanged: outcome.unchanged += 1
    case .failed(let failure): outcome.failures.append(failure)
    }
  }

  // MARK: Local deletes

  private func removeExtras(
    keeping wanted: [RelativePath: Wanted], of root: TreeRoot, in outcome: inout Outcome
  ) async {
    var survey = Survey()
    var walk = WalkStream(root: root, start: .root, filter: filter, symlinks: .skip)
    var extras: [RelativePath] = []
    var count = 0
    while let file = await walk.nextFile(noting: &survey) {
      count += 1
      if wanted[file.path] == nil { extras.append(file.path) }
    }
    guard !extras.isEmpty else { return }
    // A file that was refused or failed says that the picture of S3 is not whole.
    guard outcome.failures.isEmpty else {
      for path in extras { outcome.withheld[path] = .unseen(.root) }
      return
    }
    if case .withheld(let reason) = DeleteGuard.judge(deletes: extras.count, objects: count, bound: bound) {
      for path in extras { outcome.withheld[path] = reason }
      return
    }
    for path in extras {
      do {
        try root.remove(path)
        journal.deletedLocally(mirror: name, path: path)
        outcome.deleted += 1
      } catch {
        outcome.failures.append(.init(path: path.string, reason: cause(of: error)))
      }
    }
  }
}
