import LocalTree
import MirrorModel

// Retention: old checkpoints are removed from S3 when newer ones are there, even if the program keeps them
// here.
extension UploadLane {
  /// The shortest time between two checks of all checkpoints during the body. Each check lists the prefix.
  private static let retentionPause: Duration = .seconds(60)

  /// Finds the local checkpoints that retention would remove from S3 again, so that no comparison publishes
  /// them.
  func noteRetired() async {
    guard let retention = settings.retention else { return }
    do {
      let inventory = try await retention.inventory(.newest)
      state.withLock { $0.retired.note(inventory.candidates, policy: retention.policy) }
    } catch {
      journal.notice(
        "\(settings.name): the checkpoints on S3 could not be read, so old ones that are here are published again: \(cause(of: error))"
      )
    }
  }

  /// Notes whether a pass has published something that may have made a checkpoint complete.
  ///
  /// - Parameter isCompared: whether the pass compared directories. The paths that a comparison publishes are
  ///   not kept.
  func noteForRetention(_ outcome: PassOutcome, isCompared: Bool) {
    guard settings.retention != nil else { return }
    let mayBeNew =
      isCompared && outcome.summary.published > 0
      || outcome.met.contains { path in
        settings.commitOrder.isMarker(path) || Tracker.mayBe(path, byteCount: 0)
          || path.ancestors.contains { StepName($0.name).isStep } || UnitNames.looseUnit(of: path) != nil
      }
    state.withLock { state in
      if mayBeNew { state.isRetentionDue = true }
      // Uploads come before deletes: if one failed, a later pass decides.
      state.hasUploadFailed = !outcome.failed.isEmpty
    }
  }

  /// Removes old checkpoints after a pass during the body, if the pass may have made a newer one complete.
  func retainIfDue() async {
    guard settings.retention != nil else { return }
    let now = schedule.clock.now
    let isDue = state.withLock { state in
      guard state.isRetentionDue, !state.hasUploadFailed, state.nextRetention.map({ $0 <= now }) ?? true
      else { return false }
      state.isRetentionDue = false
      state.nextRetention = now + Self.retentionPause
      return true
    }
    guard isDue else { return }
    let start = Instant.now
    let requestsBefore = requests.counts
    var outcome = PassOutcome(summary: summary(of: .retention))
    // Deletes that earlier passes withheld are still withheld.
    let before = activity.snapshot
    outcome.withheld = before.withheld
    outcome.summary.withheldDeletes = before.withheldDeletes
    await retain(noting: &outcome)
    finish(&outcome, since: start, requestsBefore)
    conclude(outcome)
  }

  /// Removes the checkpoints that `RetentionPlan` names.
  func retain(noting outcome: inout PassOutcome) async {
    guard let retention = settings.retention, place.isThatOfEntry, root.isUnchanged else { return }
    do {
      let inventory = try await retention.inventory(.all)
      state.withLock { $0.retired.note(inventory.candidates, policy: retention.policy) }
      let plan = RetentionPlan(
        inventory.candidates, policy: retention.policy, keeping: aliases.pointerTargets)
      await remove(plan, of: inventory, &outcome)
    } catch {
      outcome.summary.failures.append(
        .init(path: ".", reason: "no old checkpoints were removed: \(cause(of: error))"))
    }
  }

  private func remove(
    _ plan: RetentionPlan, of inventory: Retention.Inventory, _ outcome: inout PassOutcome
  ) async {
    let objects = plan.removed.flatMap(\.objects)
    if objects.isEmpty { return }
    var remover = remover
    if let reason = plan.reasonToWithhold(
      of: state.withLock { $0.objectCount }, bound: remover.bound, isOwn: ledger.isPublished)
    {
      for path in objects { outcome.withhold(path, reason) }
      return
    }
    remover.bound = .unlimited
    remover.grounds = .retention
    let unitOf = Dictionary(
      plan.removed.flatMap { unit in
        (unit.objects + unit.unit.receipts).map { ($0, unit.unit.path) }
      }, uniquingKeysWith: { first, _ in first })
    var stuck = await unitsOfOthers(inventory.objects.filter { unitOf[$0.key] != nil }, unitOf, &outcome)
    // Noted before the deletes, so that a comparison does not publish a part of a checkpoint that is being
    // removed.
    state.withLock { [stuck] state in
      for unit in plan.removed.map(\.unit.path) where !stuck.contains(unit) {
        state.retired.note(taken: unit, at: wallClock())
      }
    }
    for batch in plan.batches(order: settings.commitOrder) {
      let paths = batch.filter { path in unitOf[path].map { !stuck.contains($0) } ?? true }
      let listed = paths.compactMap { path in inventory.objects[path].map { (path, $0) } }
      let removal = await remover.remove(
        paths, of: objects.count, listed: Dictionary(listed) { first, _ in first })
      outcome.summary.deleted += removal.deleted.count
      for (path, reason) in removal.withheld { outcome.withhold(path, reason) }
      for (path, reason) in removal.failed {
        outcome.summary.failures.append(.init(path: path.string, reason))
      }
      stuck.formUnion(removal.withheld.keys.compactMap { unitOf[$0] })
      stuck.formUnion(removal.failed.keys.compactMap { unitOf[$0] })
    }
    let gone = plan.removed.map(\.unit.path).filter { !stuck.contains($0) }
    guard let last = gone.last else { return }
    journal.notice(
      "\(settings.name): \(gone.count == 1 ? "1 checkpoint was" : "\(gone.count) checkpoints were") removed from S3 by retention, the last \(last)"
    )
  }

  /// Checkpoints with an object that another writer put there after the mirror began, or that may be another
  /// writer's.
  private func unitsOfOthers(
    _ objects: [RelativePath: RemoteObject], _ unitOf: [RelativePath: RelativePath],
    _ outcome: inout PassOutcome
  ) async -> Set<RelativePath> {
    var doubts = WriterCheck.mostDoubts
    var units: Set<RelativePath> = []
    for (path, finding) in await writers.judge(objects.map { ($0, $1) }, doubts: &doubts) {
      switch finding {
      case .mayGo, .absent: continue
      case .foreign: outcome.withhold(path, .foreign)
      case .unknown(let error):
        outcome.summary.failures.append(.init(path: path.string, FailureReason(error)))
      }
      if let unit = unitOf[path] { units.insert(unit) }
    }
    return units
  }
}
