import LocalTree
import MirrorModel

/// Deletes that a comparison found, within the guard (DEL-6). No event reported that the files were deleted.
struct InferredDeletes: Sendable {
  /// What happens to one object without a local file.
  enum Verdict: Sendable, Hashable {
    case delete
    case withheld(WithheldReason)
    /// A file or directory exists now, so the object is not superfluous.
    case keep
  }

  let root: TreeRoot
  let survey: Survey
  let bound: DeleteBound
  /// If set, all deletes are withheld for this reason.
  let blanket: WithheldReason?
  var hiddenPlaces: HiddenPlaces = { _ in TreeMounts.View() }
  /// Objects without a file that another writer put there. The bound does not count them.
  var foreign = Extras()

  /// How many objects are checked between two steps; as many as one request deletes.
  private static let batchSize = RemoteRemover.batchSize

  /// Judges every object, in batches. The bound applies to all objects together, so they are counted before
  /// the first decision.
  nonisolated(nonsending) func judge(
    _ extras: Extras, _ each: ([(RemoteEntry, Verdict)]) async throws -> Void
  ) async throws {
    guard extras.count + foreign.count > 0 else { return }
    let hidden = try hiddenPlaces(root).hidden
    let general = try await generalReason(extras, hidden)
    try await extras.entries.forEachBatch(of: Self.batchSize) { entries in
      try await each(
        entries.map { entry in
          let own = verdict(on: entry.path, hidden)
          return (entry, own == .delete ? general.map { .withheld($0) } ?? .delete : own)
        })
    }
    try await foreign.entries.forEachBatch(of: Self.batchSize) { entries in
      try await each(
        entries.map { entry in
          (entry, verdict(on: entry.path, hidden) == .keep ? .keep : .withheld(.foreign))
        })
    }
  }

  nonisolated(nonsending) private func generalReason(
    _ extras: Extras, _ hidden: Set<RelativePath>
  ) async throws -> WithheldReason? {
    if let blanket { return blanket }
    guard root.isUnchanged else { return .rootUnavailable }
    var deletes = 0
    try await extras.entries.forEachBatch(of: Self.batchSize) { entries in
      deletes += entries.count { verdict(on: $0.path, hidden) == .delete }
    }
    let judgement = DeleteGuard.judge(
      deletes: deletes, of: max(survey.remoteObjects - foreign.count, deletes), bound: bound)
    guard case .withheld(let reason) = judgement else { return nil }
    return reason
  }

  private func verdict(on path: RelativePath, _ hidden: Set<RelativePath>) -> Verdict {
    if let place = hidden.outermost(around: path) { return .withheld(.remounted(place)) }
    if let reason = survey.reasonToKeep(path) { return .withheld(reason) }
    do {
      return try root.isAbsent(forObjectAt: path) ? .delete : .keep
    } catch {
      return .withheld(.unseen(path))
    }
  }

  /// The result of the deletes.
  struct Outcome: Sendable {
    var deleted = 0
    private(set) var withheldCount = 0
    /// The first thousand withheld paths.
    private(set) var withheld: [RelativePath: WithheldReason] = [:]
    var failures: [MirrorError.Failure] = []

    fileprivate mutating func withhold(_ path: RelativePath, _ reason: WithheldReason) {
      withheldCount += 1
      if withheld.count < RemoteRemover.namedWithheld { withheld[path] = reason }
    }
  }

  /// Deletes the objects that may be deleted.
  func carryOut(_ extras: Extras, with remover: RemoteRemover) async -> Outcome {
    // The bound was already judged for all objects together. Immediately before each request the remover
    // still checks that the root is the same and the path is absent.
    var remover = remover
    remover.bound = .unlimited
    remover.freshness = .listedBefore
    var outcome = Outcome()
    do {
      try await judge(extras) { [remover] verdicts in
        var candidates: [RelativePath] = []
        var listed: [RelativePath: RemoteObject] = [:]
        for (entry, verdict) in verdicts {
          switch verdict {
          case .delete:
            candidates.append(entry.path)
            listed[entry.path] = entry.object
          case .withheld(let reason): outcome.withhold(entry.path, reason)
          case .keep: continue
          }
        }
        let removal = await remover.remove(candidates, of: survey.remoteObjects, listed: listed)
        outcome.deleted += removal.deleted.count
        for (path, reason) in removal.withheld { outcome.withhold(path, reason) }
        for (path, reason) in removal.failed {
          outcome.failures.append(.init(path: path.string, reason))
        }
      }
    } catch {
      outcome.failures.append(
        .init(path: ".", reason: "nothing more was deleted: \(cause(of: error))"))
    }
    return outcome
  }
}
