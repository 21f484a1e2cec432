/// Which checkpoints on S3 may go, so that a number of them is kept.
///
/// Only what is known to be complete is counted, and only that goes: what nothing marks may be somebody's, and what is incomplete may
/// be on its way. Each series of names is counted by itself: `run-a/step-5` says nothing of `run-b/step-3`. The newest two of a series
/// that are complete stay whatever is asked for, so that one is left if the other turns out to be damaged; so does what a file names. As
/// many stay of those that were published last: a program that goes back to an earlier step saves lower steps again.
package struct RetentionPlan: Sendable {
  package struct Policy: Sendable, Hashable {
    /// How many of the newest complete checkpoints stay; two at least.
    package var keepLast: Int
    /// Besides these, checkpoints whose step is a multiple of this stay; nil keeps no others.
    package var keepEvery: Int64?

    /// - Throws: `Refusal` that says what the numbers may be.
    package init(keepLast: Int, keepEvery: Int64? = nil) throws(Refusal) {
      guard keepLast >= RetentionPlan.leastKept else {
        throw Refusal(
          description: "keepLast is \(keepLast); the newest \(RetentionPlan.leastKept) always stay")
      }
      if let keepEvery, keepEvery < 1 {
        throw Refusal(description: "keepEvery is \(keepEvery); it is a number of steps")
      }
      self.keepLast = keepLast
      self.keepEvery = keepEvery
    }
  }

  package struct Refusal: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String
  }

  /// What the plan has to know of one checkpoint.
  package struct Candidate: Sendable {
    package var unit: CheckpointUnit
    package var state: UnitState
    /// By their paths below the remote.
    package var objects: [RelativePath]

    package init(unit: CheckpointUnit, state: UnitState, objects: [RelativePath]) {
      self.unit = unit
      self.state = state
      self.objects = objects
    }
  }

  package static let leastKept = 2

  /// The checkpoints that go, the oldest first.
  package private(set) var removed: [Candidate] = []

  /// - Parameter candidates: the newest first, as a catalog has them.
  package init(_ candidates: [Candidate], policy: Policy) {
    var gone: Set<RelativePath> = []
    for complete in Self.series(of: candidates).values {
      // With nothing newer that is complete a checkpoint is not old.
      let latest = Set(Self.publishedLast(policy.keepLast, of: complete).map(\.unit.path))
      for candidate in complete.dropFirst(policy.keepLast)
      where !latest.contains(candidate.unit.path) && !Self.isNamed(candidate.unit)
        && !Self.isKept(candidate.unit, by: policy) && !Self.holdsOther(candidate.unit, than: candidates)
      {
        gone.insert(candidate.unit.path)
      }
    }
    removed = candidates.filter { gone.contains($0.unit.path) }.reversed()
  }

  /// - Parameter complete: checkpoints of one series, those with the highest step first.
  /// - Returns: those that were published last. Of what was published in one minute, as a tree that is uploaded at once, those with the
  ///   highest steps.
  private static func publishedLast(_ count: Int, of complete: [Candidate]) -> [Candidate] {
    let minutes = complete.enumerated().map { place, candidate in
      (place: place, minute: candidate.unit.sum.published / 60_000_000_000, candidate: candidate)
    }
    return minutes.sorted { ($1.minute, $0.place) < ($0.minute, $1.place) }.prefix(count).map(\.candidate)
  }

  /// The complete checkpoints of each series, the newest first. A name without a step is a series by itself.
  static func series(of candidates: [Candidate]) -> [RelativePath: [Candidate]] {
    Dictionary(grouping: candidates.filter(\.state.isComplete)) { series(of: $0.unit) }
  }

  package static func series(of unit: CheckpointUnit) -> RelativePath {
    unit.path.parent.appending(StepName(unit.path.name).series)
  }

  /// Why nothing of it may go: the bound counts what this run did not publish itself, as in all deletes (DEL-6).
  ///
  /// - Parameter isOwn: whether this run published the object of a path.
  package func reasonToWithhold(
    of objectCount: Int, bound: DeleteBound, isOwn: (RelativePath) -> Bool
  ) -> WithheldReason? {
    let objects = removed.flatMap(\.objects)
    let counted = bound == .standard ? objects.count { !isOwn($0) } : objects.count
    guard
      case .withheld(let reason) = DeleteGuard.judge(
        deletes: counted, of: max(objectCount, objects.count), bound: bound)
    else { return nil }
    return reason
  }

  private static func isNamed(_ unit: CheckpointUnit) -> Bool {
    !unit.trackers.isEmpty || !unit.copies.isEmpty || unit.mark != nil || unit.path.isRoot
  }

  private static func isKept(_ unit: CheckpointUnit, by policy: Policy) -> Bool {
    guard let every = policy.keepEvery else { return false }
    // A checkpoint without a step is no multiple of anything, and nobody asked for it to go.
    guard let step = StepName(unit.path.name).number else { return true }
    return step % every == 0
  }

  private static func holdsOther(_ unit: CheckpointUnit, than candidates: [Candidate]) -> Bool {
    unit.shape == .directory
      && candidates.contains { $0.unit.path != unit.path && $0.unit.path.isWithin(unit.path) }
  }

  /// What of a checkpoint goes in which order: its receipt, its markers from the uppermost down, its data. Stopped at any moment this
  /// leaves no marker whose data are gone.
  package static func batches(of candidate: Candidate, order: CommitOrder) -> [[RelativePath]] {
    receipts(of: candidate) + order.groups(of: candidate.objects).reversed()
  }

  private static func receipts(of candidate: Candidate) -> [[RelativePath]] {
    candidate.unit.hasReceipt ? [[UnitReceipt.path(of: candidate.unit.path)]] : []
  }

  /// All that goes, in this order. What one batch holds may go in one request.
  package func batches(order: CommitOrder) -> [[RelativePath]] {
    // The last first, so that the data of all checkpoints go together.
    var batches: [[RelativePath]] = []
    for candidate in removed {
      for (place, batch) in Self.batches(of: candidate, order: order).reversed().enumerated() {
        if place == batches.count { batches.append([]) }
        batches[place] += batch
      }
    }
    return batches.reversed()
  }
}
