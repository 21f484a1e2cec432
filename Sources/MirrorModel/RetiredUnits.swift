/// Retired checkpoints: they exist here and are not published, because retention would remove them from S3
/// again (RET-3).
///
/// A program may keep more checkpoints here than retention keeps on S3. Without this rule each comparison
/// would publish what retention has removed.
package struct RetiredUnits: Sendable {
  private struct Horizon: Sendable {
    /// Of the checkpoints that stay because of their number: the lowest step, and the earliest time at which
    /// one was published.
    var step: Int64
    var published: Int64
  }

  private var horizons: [RelativePath: Horizon] = [:]
  private var keepEvery: Int64?
  /// Checkpoints that have objects on S3.
  private var present: Set<RelativePath> = []
  /// Checkpoints that retention removed in this run, and when: nanoseconds since 1970-01-01 UTC by this
  /// machine's clock.
  private var taken: [RelativePath: Int64] = [:]

  /// The margin for comparing a file's change with the dates of objects. A file is published if it changed
  /// later than the objects that stay, less this margin: clocks differ, and S3 may date an object by the
  /// start of its upload.
  package static let doubt = Comparison.defaultSuspicionWindow

  package init() {}

  /// Takes over the state of S3.
  package mutating func note(_ candidates: [RetentionPlan.Candidate], policy: RetentionPlan.Policy) {
    horizons = [:]
    keepEvery = policy.keepEvery
    present = Set(candidates.map(\.unit.path))
    for (series, complete) in RetentionPlan.series(of: candidates) where complete.count >= policy.keepLast {
      let kept = complete.prefix(policy.keepLast)
      let steps = kept.compactMap { StepName($0.unit.path.name).number }
      guard steps.count == kept.count, let step = steps.min(),
        let published = kept.map(\.unit.sum.published).min()
      else { continue }
      horizons[series] = Horizon(step: step, published: published)
    }
  }

  /// Notes that retention removed a checkpoint.
  package mutating func note(taken unit: RelativePath, at now: Int64) { taken[unit] = now }

  package var isEmpty: Bool { horizons.isEmpty && taken.isEmpty }

  /// Whether a file without an object belongs to a retired checkpoint. A file that changed later is
  /// published, because a program that goes back to an earlier step saves lower steps again.
  ///
  /// - Parameter serverSkew: the server's clock minus ours, in nanoseconds.
  package func contains(_ path: RelativePath, _ stamp: FileStamp, serverSkew: Int64) -> Bool {
    if isEmpty { return false }
    let changed = max(stamp.changed, stamp.modified)
    return Self.places(of: path).contains { place in
      if let time = taken[place], changed < time { return true }
      let name = StepName(place.name)
      guard let step = name.number, !present.contains(place),
        let horizon = horizons[place.parent.appending(name.series)],
        step < horizon.step, changed + serverSkew < horizon.published - Self.doubt
      else { return false }
      return keepEvery.map { step % $0 != 0 } ?? true
    }
  }

  /// The checkpoints to which a path may belong.
  private static func places(of path: RelativePath) -> [RelativePath] {
    path.ancestors.filter { !$0.isRoot } + [UnitNames.looseUnit(of: path)].compactMap(\.self)
  }
}
