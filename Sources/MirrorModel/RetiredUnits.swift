/// Checkpoints here that are not published, because retention would take them from S3 again (RET-3).
///
/// A program may keep more checkpoints here than retention keeps on S3. Without this rule each comparison would publish what
/// retention has taken.
package struct RetiredUnits: Sendable {
  private struct Horizon: Sendable {
    /// Of the checkpoints that stay by their number: the lowest step, and when the oldest of them was published.
    var step: Int64
    var published: Int64
  }

  private var horizons: [RelativePath: Horizon] = [:]
  private var keepEvery: Int64?
  /// Checkpoints of which objects are on S3.
  private var present: Set<RelativePath> = []
  /// Those that retention took in this run, and when: nanoseconds since 1970-01-01 UTC by the clock of this machine.
  private var taken: [RelativePath: Int64] = [:]

  /// A change of the file that is later than the objects that stay, less this much, has the file published: clocks differ, and S3 may
  /// date an object by the start of its upload.
  package static let doubt = Comparison.defaultSuspicionWindow

  package init() {}

  /// Takes over what is on S3 now.
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

  /// Notes that retention took a checkpoint.
  package mutating func note(taken unit: RelativePath, at now: Int64) { taken[unit] = now }

  package var isEmpty: Bool { horizons.isEmpty && taken.isEmpty }

  /// Whether a file without an object belongs to such a checkpoint. What was changed since is published: a program that goes back to an
  /// earlier step saves lower steps again.
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
    var places = path.ancestors.filter { !$0.isRoot }
    if let file = UnitNames.looseFile(path.name) { places.append(path.parent.appending(file.stem)) }
    return places
  }
}
