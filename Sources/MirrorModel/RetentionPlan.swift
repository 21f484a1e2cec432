/// Which checkpoints may be removed from S3, so that a given number stays.
///
/// Only checkpoints that are known to be complete are counted and removed. Objects that nothing marks as
/// complete may belong to another program, and an incomplete checkpoint may still be uploading. Each series
/// of names is counted separately: `run-a/step-5` does not count for `run-b/step-3`. The newest two complete
/// checkpoints of a series always stay, so that one remains if the other turns out to be damaged. A
/// checkpoint that a file or a symbolic link names stays too. The same number of the checkpoints that were
/// published last stays too, because a program that goes back to an earlier step saves lower steps again.
package struct RetentionPlan: Sendable {
  package struct Policy: Sendable, Hashable {
    /// How many of the newest complete checkpoints stay; at least two.
    package var keepLast: Int
    /// Checkpoints whose step is a multiple of this number stay too; nil keeps no others.
    package var keepEvery: Int64?

    /// - Throws: `Refusal` that names the valid numbers.
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

  /// What the plan needs to know of one checkpoint.
  package struct Candidate: Sendable {
    package var unit: CheckpointUnit
    package var state: UnitState
    /// The checkpoint's objects, by their paths below the remote.
    package var objects: [RelativePath]

    package init(unit: CheckpointUnit, state: UnitState, objects: [RelativePath]) {
      self.unit = unit
      self.state = state
      self.objects = objects
    }
  }

  package static let leastKept = 2

  /// The checkpoints to remove, oldest first.
  package private(set) var removed: [Candidate] = []

  /// - Parameters:
  ///   - candidates: newest first, as in a catalog.
  ///   - named: files to which symbolic links lead. Their checkpoints stay.
  package init(_ candidates: [Candidate], policy: Policy, keeping named: Set<RelativePath> = []) {
    var gone: Set<RelativePath> = []
    for complete in Self.series(of: candidates).values {
      // A checkpoint is old only if a newer one is complete.
      let latest = Set(Self.publishedLast(policy.keepLast, of: complete).map(\.unit.path))
      for candidate in complete.dropFirst(policy.keepLast)
      where !latest.contains(candidate.unit.path) && !Self.isNamed(candidate.unit)
        && !Self.isKept(candidate.unit, by: policy) && !Self.holdsOther(candidate.unit, than: candidates)
        && !named.contains(candidate.unit.path) && named.isDisjoint(with: candidate.objects)
      {
        gone.insert(candidate.unit.path)
      }
    }
    removed = candidates.filter { gone.contains($0.unit.path) }.reversed()
  }

  /// - Parameter complete: checkpoints of one series, the highest step first.
  /// - Returns: the checkpoints that were published last. Among those published in the same minute, for
  ///   example because a tree was uploaded at once, the highest steps.
  private static func publishedLast(_ count: Int, of complete: [Candidate]) -> [Candidate] {
    let minutes = complete.enumerated().map { place, candidate in
      (place: place, minute: candidate.unit.sum.published / 60_000_000_000, candidate: candidate)
    }
    return minutes.sorted { ($1.minute, $0.place) < ($0.minute, $1.place) }.prefix(count).map(\.candidate)
  }

  /// The complete checkpoints of each series, newest first. A name without a step is a series of its own.
  static func series(of candidates: [Candidate]) -> [RelativePath: [Candidate]] {
    Dictionary(grouping: candidates.filter(\.state.isComplete)) { series(of: $0.unit) }
  }

  package static func series(of unit: CheckpointUnit) -> RelativePath {
    unit.path.parent.appending(StepName(unit.path.name).series)
  }

  /// Why no checkpoint may be removed; nil if they may be. The bound counts objects that this run did not
  /// publish, as for all deletes (DEL-6).
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
    // A checkpoint without a step is not a multiple, and the options do not ask for its removal.
    guard let step = StepName(unit.path.name).number else { return true }
    return step % every == 0
  }

  private static func holdsOther(_ unit: CheckpointUnit, than candidates: [Candidate]) -> Bool {
    unit.shape == .directory
      && candidates.contains { $0.unit.path != unit.path && $0.unit.path.isWithin(unit.path) }
  }

  /// The order in which a checkpoint is removed: its receipts, its markers from the uppermost down, its data.
  /// If the removal stops at any moment, no marker is left without its data.
  package static func batches(of candidate: Candidate, order: CommitOrder) -> [[RelativePath]] {
    let receipts = candidate.unit.receipts
    return (receipts.isEmpty ? [] : [receipts]) + order.groups(of: candidate.objects).reversed()
  }

  /// All removals in order. One batch may be sent in one request.
  package func batches(order: CommitOrder) -> [[RelativePath]] {
    // Aligned at the end, so that the data of all checkpoints are removed together.
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
