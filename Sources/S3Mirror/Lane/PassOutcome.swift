import LocalTree
import MirrorModel
import S3Client
import Transfers

/// What one pass came to.
struct PassOutcome: Sendable {
  var summary: PassSummary
  /// Published, or gone for good: whatever was held against them is over.
  var settled: [RelativePath] = []
  /// Files that were there: published, or kept from being deleted.
  var met: [RelativePath] = []
  var failed: [RelativePath: FailureReason] = [:]
  /// Those of the failed paths whose requests the service did not answer.
  var unreachable: Set<RelativePath> = []
  /// Not published though nothing failed, and why.
  var waiting: [RelativePath: String] = [:]
  /// What can never be published: no key, or beyond S3's limits.
  var refused: [RelativePath: String] = [:]
  var withheld: [RelativePath: WithheldReason] = [:]
  /// Published in a version that another one has replaced.
  var superseded: Set<RelativePath> = []
  /// Those of them that went in the version with which the pass began.
  var held: Set<RelativePath> = []
  /// Comes back dirty: what failed, what was open or changing, and deletes that wait.
  var unpublished = DirtySet.Batch()
  var skipped = 0
  /// The first of them.
  var skippedNames: [SkippedName] = []
  /// What goes on without the pass.
  var departed: [RelativePath: DirtyEntry] = [:]
  /// Objects under keys that had none, as far as that is sure: what the delete bound may count on.
  var created = 0

  /// What the pass learned of the service.
  var service: ServiceState {
    if summary.published > 0 || summary.deleted > 0 { return .answering }
    return unreachable.isEmpty ? .unknown : .unreachable
  }

  /// Why deletes that are only inferred must wait; nil when everything is published.
  var reasonToWithholdDeletes: WithheldReason? {
    if !failed.isEmpty { return .uploadsFailed }
    return waiting.isEmpty ? nil : .uploadsWait
  }

  /// Notes that a path is done with, whatever earlier batches of the pass came to.
  mutating func settle(_ path: RelativePath) {
    settled.append(path)
    unpublished.entries[path] = nil
    superseded.remove(path)
    held.remove(path)
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

  /// Notes what can never be published under its name. It stays dirty, so that markers and flushes keep being told of it
  /// until it has gone or has another name.
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

  /// Takes over what inferred deletes came to.
  mutating func take(_ deletes: InferredDeletes.Outcome) {
    summary.deleted += deletes.deleted
    summary.failures += deletes.failures
    summary.withheldDeletes += deletes.withheldCount
    for (path, reason) in deletes.withheld where withheld.count < RemoteRemover.namedWithheld {
      withheld[path] = reason
    }
  }

  /// Notes what the driver of a pass saw of one publication: its reason, its size. What follows from it is the plan's.
  mutating func note(_ publication: FilePublisher.Outcome, of path: RelativePath) {
    switch publication {
    case .published(_, .marker), .absent, .isDirectory, .unneeded: break
    case .published(let bytes, let way):
      summary.published += 1
      summary.publishedBytes += bytes
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

  /// Takes over what a plan came to.
  mutating func take(_ result: PassResult, events: PassPlan.Events) {
    for path in result.settled { settle(path) }
    settled += result.removed
    met += result.met
    superseded.formUnion(result.superseded)
    held.formUnion(result.held)
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
