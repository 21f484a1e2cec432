import LocalTree
import MirrorModel
import S3Client
import Transfers

/// Carries out a plan: publishes, lists and deletes what the plan asks for, and reports the results to it.
struct PublishPass: Sendable {
  let publisher: FilePublisher
  let commitOrder: CommitOrder
  /// Nil if nothing may be deleted.
  var remover: RemoteRemover?
  var removal = PassPlan.Removal.everything
  let filter: PathFilter
  let openFiles: FilePublisher.OpenFiles
  /// Files under way at one time: more than there are slots, so that reading and sending overlap.
  let width: PassWork.Width
  let clock: any LaneClock
  /// How many objects are under the prefix, as far as known.
  let objectCount: Int
  /// Old names of renamed files that are dirty outside of this pass; called before anything is deleted.
  let originsElsewhere: @Sendable () async -> Set<RelativePath>
  var snapshots = Snapshots.ofAll
  /// How much can be published before the end is cut short; nil if the time is not limited.
  var budget: DeadlineOrder.Budget?
  /// Nil if the pass must wait for all its publications.
  var detachment: Detachment?
  var returning = PassPlan.Returning.withTheirData
  /// The markers that wait for other hosts.
  var group = GroupHold.none

  /// Which files of the publisher's `appendNames` may be published as snapshots while a program has them open
  /// for writing.
  enum Snapshots: Sendable {
    case ofAll
    /// Only files that have waited for their close for `openFileGrace`. The others begin to wait.
    case afterGrace
  }

  /// - Parameter earlier: the result of the earlier batches of the same pass. Their failures hold back
  ///   markers and deletes.
  func run(
    _ batch: DirtySet.Batch, within surroundings: PassPlan.Surroundings, after earlier: PassOutcome
  ) async -> PassOutcome {
    var surroundings = surroundings
    surroundings.inFlight.merge(earlier.departed) { $1 }
    surroundings.hasFailed = !earlier.failed.isEmpty
    surroundings.group = group
    surroundings.returning = returning
    for (path, entry) in earlier.unpublished.entries where entry.holdsMarkers {
      surroundings.unpublished.insert(path)
    }
    if events == .ended { surroundings.unpublished.formUnion(earlier.superseded) }
    surroundings.withdrawals = publisher.withdrawal.withdrawals(
      from: batch, flying: surroundings.inFlight, commitOrder, publisher.root,
      deletesGone: remover != nil && removal == .everything)
    surroundings.note(markersOf: batch, commitOrder, earlier: earlier.unpublished.entries) {
      publisher.root.stamp(ofFileAt: $0)
    }
    var plan = PassPlan(
      batch, order: commitOrder, removal: remover == nil ? .never : removal, events: events,
      within: surroundings)
    plan.note(large: publisher.large(among: plan.unmeasured))
    if let budget {
      plan.note(sizes: publisher.sizes(of: plan.dataOfBatch), budget: budget)
    }
    let versions = await publisher.hold(plan.markersToHold)
    let withdrawals = surroundings.withdrawals
    plan.note(held: Set(versions.keys))
    let work = PassWork(
      plan, after: earlier, width: width, on: publisher.executors, clock: clock, until: detachment
    ) { [publisher, openFiles, snapshots] path, entry, whenStaged in
      let openFiles = Self.policy(for: entry, openFiles, snapshots)
      let markers = withdrawals.markers(over: path)
      let publish = {
        await publisher.publish(
          path, entry: entry, openFiles: openFiles, whenStaged: whenStaged, withdrawing: markers)
      }
      guard entry?.wasTried == true else { return await publish() }
      return await FairSemaphore.$firstUse.withValue(.part, operation: publish)
    } held: { [publisher] path in
      guard let version = versions[path] else { return .waiting(.heldBack) }
      return await publisher.publish(version)
    }
    var outcome: PassOutcome
    (plan, outcome) = await work.carryOut()
    await remove(by: &plan, noting: &outcome)
    outcome.take(plan.result, events: events)
    return outcome
  }

  private var events: PassPlan.Events { publisher.markerGate.strictness == .stamp ? .ended : .complete }

  private static func policy(
    for entry: DirtyEntry?, _ openFiles: FilePublisher.OpenFiles, _ snapshots: Snapshots
  ) -> FilePublisher.OpenFiles {
    guard openFiles == .snapshot, snapshots == .afterGrace else { return openFiles }
    // A batch contains open entries only after their grace has ended.
    return entry?.isOpen == true ? .snapshot : .wait
  }

  // MARK: Deletes, after all publications

  private func remove(by plan: inout PassPlan, noting outcome: inout PassOutcome) async {
    while true {
      switch plan.next() {
      case .publish, .wait:
        preconditionFailure("a plan that is published has nothing to publish")
      case .over: return
      case .askForOrigins:
        plan.note(origins: await originsElsewhere()) { remover?.ledger.isPublished($0) ?? false }
      case .list(let directory):
        do {
          plan.note(listing: try await objects(below: directory), of: directory)
        } catch {
          plan.note(listing: nil, of: directory)
          outcome.fail(directory, because: FailureReason(error), FailureScope(error))
        }
      case .delete(let deletion):
        let removal = await remove(deletion, created: plan.result.created + outcome.created)
        note(removal, in: &outcome)
        plan.note(
          deleted: removal.deleted + removal.needless, kept: removal.kept, withheld: removal.withheld.keys,
          failed: removal.failed.keys)
      }
    }
  }

  private func remove(_ deletion: PassPlan.Deletion, created: Int) async -> RemoteRemover.Outcome {
    guard let remover else { return RemoteRemover.Outcome() }
    return await remover.remove(
      deletion.paths, of: objectCount + created, moved: deletion.moved, listed: deletion.listed,
      known: deletion.known)
  }

  private func note(_ removal: RemoteRemover.Outcome, in outcome: inout PassOutcome) {
    outcome.summary.deleted += removal.deleted.count
    for (path, reason) in removal.withheld { outcome.withhold(path, reason) }
    for (path, reason) in removal.failed {
      outcome.fail(path, because: reason, removal.unreachable.contains(path) ? .service : .path)
    }
  }

  /// The objects that were published below a directory that has left the tree. A tick needs no other listing.
  private func objects(below directory: RelativePath) async throws -> [(RelativePath, RemoteObject)] {
    var found: [(RelativePath, RemoteObject)] = []
    let listing = Listing(store: publisher.store, prefix: publisher.mapping.key(for: directory) + "/")
    try await listing.forEachPage { page in
      for object in page.content.objects {
        guard let path = publisher.mapping.path(forKey: object.key), !filter.excludes(path, .file) else {
          continue
        }
        found.append((path, object.remote))
      }
      return true
    }
    return found
  }
}
