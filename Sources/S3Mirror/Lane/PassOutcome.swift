import LocalTree
import MirrorModel
import S3Client
import Transfers

/// The result of one pass.
struct PassOutcome: Sendable {
  var summary: PassSummary
  /// Paths that are published or gone for good: their earlier failures are over.
  var settled: [RelativePath] = []
  /// Files that existed here: they were published, or they kept their objects from being deleted.
  var met: [RelativePath] = []
  var failed: [RelativePath: FailureReason] = [:]
  /// The failed paths whose requests the service did not answer.
  var unreachable: Set<RelativePath> = []
  /// Paths that are not published although nothing failed, and why.
  var waiting: [RelativePath: String] = [:]
  /// Paths that can never be published under their names: no key, or beyond S3's limits.
  var refused: [RelativePath: String] = [:]
  var withheld: [RelativePath: WithheldReason] = [:]
  /// Paths that were published in a version that has been replaced.
  var superseded: Set<RelativePath> = []
  /// Those of the superseded paths that were published in the version with which the pass began.
  var held: Set<RelativePath> = []
  /// Markers whose data are published here, and that wait for other hosts of the group.
  var heldByGroup: Set<RelativePath> = []
  /// What is dirty again: failed paths, files that were open or changing, and deletes that wait.
  var unpublished = DirtySet.Batch()
  var skipped = 0
  /// The first skipped names.
  var skippedNames: [SkippedName] = []
  /// Publications that go on after the pass.
  var departed: [RelativePath: DirtyEntry] = [:]
  /// Objects created under keys that had none, counted only if that is certain. The delete bound relies on
  /// it.
  var created = 0

  /// The state of the service as the pass saw it.
  var service: ServiceState {
    if summary.published > 0 || summary.deleted > 0 { return .answering }
    return unreachable.isEmpty ? .unknown : .unreachable
  }

  /// Why inferred deletes must wait; nil if everything is published.
  var reasonToWithholdDeletes: WithheldReason? {
    if !failed.isEmpty { return .uploadsFailed }
    return waiting.isEmpty ? nil : .uploadsWait
  }

  /// Whether the pass found nothing but these markers, which wait for other hosts.
  func onlyWaits(for held: Set<RelativePath>) -> Bool {
    guard heldByGroup == held, Set(waiting.keys) == held else { return false }
    var rest = summary
    rest.waiting = 0
    return rest.isIdle
  }

  /// Notes that nothing more is to be done for a path, whatever earlier batches of the pass reported of it.
  mutating func settle(_ path: RelativePath) {
    settled.append(path)
    unpublished.entries[path] = nil
    superseded.remove(path)
    held.remove(path)
    heldByGroup.remove(path)
    if waiting.removeValue(forKey: path) != nil { summary.waiting -= 1 }
    unreachable.remove(path)
    if failed.removeValue(forKey: path) != nil { summary.failures.removeAll { $0.path == path.string } }
  }

  mutating func fail(_ path: RelativePath, because reason: FailureReason, _ scope: FailureScope = .path) {
    if scope == .service { unreachable.insert(path) }
    if failed.updateValue(reason, forKey: path) == nil {
      summary.failures.append(.init(path: path.string, reason))
    }
  }

  /// Notes a path that can never be published under its name. It stays dirty, so that markers wait for it and
  /// flushes report it until it is gone or has another name.
  mutating func refuse(_ path: RelativePath, because reason: String) {
    if refused.updateValue(reason, forKey: path) == nil {
      summary.failures.append(.init(path: path.string, reason: reason))
    }
  }

  mutating func wait(_ path: RelativePath, because reason: String) {
    if waiting.updateValue(reason, forKey: path) == nil { summary.waiting += 1 }
  }

  mutating func withhold(_ path: RelativePath, _ reason: WithheldReason) {
    summary.withheldDeletes += 1
    if withheld.count < RemoteRemover.namedWithheld { withheld[path] = reason }
  }

  /// Adds the result of inferred deletes.
  mutating func take(_ deletes: InferredDeletes.Outcome) {
    summary.deleted += deletes.deleted
    summary.failures += deletes.failures
    summary.withheldDeletes += deletes.withheldCount
    for (path, reason) in deletes.withheld where withheld.count < RemoteRemover.namedWithheld {
      withheld[path] = reason
    }
  }

  /// Notes the result of one publication: its reason, its size. The plan decides the consequences.
  mutating func note(_ publication: FilePublisher.Outcome, of path: RelativePath) {
    switch publication {
    case .published(_, .marker, _), .published(_, .briefMark, _), .absent, .isDirectory, .unneeded: break
    case .published(let bytes, let way, let copied):
      summary.published += 1
      summary.publishedBytes += bytes
      summary.copiedBytes += copied
      if way == .copy { summary.copied += 1 }
    case .skipped(let kind):
      skipped += 1
      if skippedNames.count < ConditionNotices.namedSkips {
        skippedNames.append(SkippedName(path: path, kind: kind))
      }
    case .refused(let reason): refuse(path, because: reason)
    case .waiting(let reason): wait(path, because: reason.description)
    case .failed(let reason, let scope): fail(path, because: reason, scope)
    }
  }

  /// Adds the result of a plan.
  mutating func take(_ result: PassResult, events: PassPlan.Events) {
    for path in result.settled { settle(path) }
    settled += result.removed
    met += result.met
    superseded.formUnion(result.superseded)
    held.formUnion(result.held)
    heldByGroup.formUnion(result.heldByGroup)
    for marker in result.heldByGroup { wait(marker, because: "it waits for the other members of its group") }
    created += result.created
    for (marker, obstacle) in result.blocked {
      wait(
        marker,
        because: obstacle.isRoot
          ? "it waits until its data can be compared" : "it waits for \(obstacle), which is not published")
    }
    if events == .ended {
      for path in result.superseded {
        wait(path, because: "it was published, and replaced by a later version meanwhile")
      }
    }
    unpublished.entries.merge(result.unpublished.entries) { $1 }
    unpublished.goneDirectories.merge(result.unpublished.goneDirectories) { $1 }
    unpublished.withheldDeletes.formUnion(result.unpublished.withheldDeletes)
  }
}
