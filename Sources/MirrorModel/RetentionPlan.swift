/// Which checkpoints on S3 may go, so that a number of them is kept.
///
/// Only what is known to be complete is counted, and only that goes: what nothing marks may be somebody's, and what is incomplete may
/// be on its way. The newest two that are complete stay whatever is asked for, so that one is left if the other turns out to be
/// damaged; so does what a file names.
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
    let complete = candidates.filter(\.state.isComplete)
    // With nothing newer that is complete a checkpoint is not old.
    removed = complete.dropFirst(max(policy.keepLast, Self.leastKept)).filter { candidate in
      !Self.isNamed(candidate.unit) && !Self.isKept(candidate.unit, by: policy)
        && !Self.holdsOther(candidate.unit, than: candidates)
    }.reversed()
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
    let receipt = candidate.unit.hasReceipt ? [[UnitReceipt.path(of: candidate.unit.path)]] : []
    return receipt + order.groups(of: candidate.objects).reversed()
  }
}
