import LocalTree
import MirrorModel

/// Deletes that a comparison asks for, as far as the guard allows them (DEL-6): no event told that the files went.
struct InferredDeletes: Sendable {
  /// What becomes of one object without a local file.
  enum Verdict: Sendable, Hashable {
    case delete
    case withheld(WithheldReason)
    /// A file or directory is there now; nothing was superfluous.
    case keep
  }

  let root: TreeRoot
  let survey: Survey
  let bound: DeleteBound
  /// Withholds everything, whatever the rest says.
  let blanket: WithheldReason?
  var hiddenPlaces: HiddenPlaces = { _ in TreeMounts.View() }
  /// Of the objects without a file, those that another writer put there. No bound counts them.
  var foreign = Extras()

  /// Objects looked at between two steps; as many as one request deletes.
  private static let batchSize = RemoteRemover.batchSize

  /// Judges every object, in batches. The bound holds for all of them together, so they are counted before the first
  /// is decided.
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

  /// What the deletes came to.
  struct Outcome: Sendable {
    var deleted = 0
    private(set) var withheldCount = 0
    /// The first thousand of the withheld paths.
    private(set) var withheld: [RelativePath: WithheldReason] = [:]
    var failures: [MirrorError.Failure] = []

    fileprivate mutating func withhold(_ path: RelativePath, _ reason: WithheldReason) {
      withheldCount += 1
      if withheld.count < RemoteRemover.namedWithheld { withheld[path] = reason }
    }
  }

  /// Deletes what may go.
  func carryOut(_ extras: Extras, with remover: RemoteRemover) async -> Outcome {
    // The bound was judged for all of them; what the remover still checks, immediately before each request, is that the
    // root is the same and the path absent.
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
