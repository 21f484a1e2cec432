/// The order in which data begin if the time is short: one checkpoint after the other, so that at least one
/// is complete when the time is over (END-10).
///
/// First comes the newest checkpoint that can be published in the remaining time, then files of no
/// checkpoint, then the other checkpoints, newest first. A group begins only after every path of the group
/// before it has ended.
package struct DeadlineOrder: Sendable {
  /// How much can be published in the remaining time.
  package struct Budget: Sendable {
    package var seconds: Double
    /// As measured in this run; nil if nothing was published yet.
    package var bytesPerSecond: Double?

    package init(seconds: Double, bytesPerSecond: Double?) {
      self.seconds = seconds
      self.bytesPerSecond = bytesPerSecond
    }

    func fits(_ bytes: Int64) -> Bool { bytesPerSecond.map { Double(bytes) <= seconds * $0 } ?? true }
  }

  private struct Group {
    var paths: Set<RelativePath> = []
    var byteCount: Int64 = 0
    var lastChange: Instant
    var step: Int64?

    /// The later change decides: a program that goes back to an earlier step saves lower steps again. Files
    /// that a comparison found have one time, and there the step decides.
    static func isNewer(_ one: Group, than other: Group) -> Bool {
      if one.lastChange != other.lastChange { return one.lastChange > other.lastChange }
      return (one.step ?? .min) > (other.step ?? .min)
    }
  }

  /// The groups that have not begun.
  private var groups: ArraySlice<Set<RelativePath>> = []
  /// All their paths.
  private var later: Set<RelativePath> = []
  private var outstanding: Set<RelativePath> = []
  /// Paths that could begin, but whose group has not begun.
  private var waiting: Set<RelativePath> = []

  /// - Parameters:
  ///   - data: the files, with their sizes and last changes.
  ///   - rest: paths that belong to no checkpoint, such as logs.
  init(
    _ data: [RelativePath: (byteCount: Int64, lastChange: Instant)], rest: Set<RelativePath>, budget: Budget
  ) {
    var checkpoints: [RelativePath: Group] = [:]
    let members = data.keys.filter { !rest.contains($0) }
    let holders = Set(members.map(\.parent))
    for path in members {
      guard let known = data[path] else { continue }
      let place = UnitStages.place(of: path, holders) { StepName($0.name).isStep }
      var group = checkpoints[place] ?? Group(lastChange: known.lastChange, step: StepName(place.name).number)
      group.paths.insert(path)
      group.byteCount = group.byteCount.addingSaturated(known.byteCount)
      group.lastChange = max(group.lastChange, known.lastChange)
      checkpoints[place] = group
    }
    let loose = checkpoints.removeValue(forKey: .root)?.paths ?? []
    var order = checkpoints.sorted { Group.isNewer($0.value, than: $1.value) }.map(\.value)
    if let first = order.firstIndex(where: { budget.fits($0.byteCount) }) {
      order.insert(order.remove(at: first), at: 0)
    }
    let others = loose.union(rest.filter { data[$0] != nil })
    groups =
      (order.prefix(1).map(\.paths) + [others] + order.dropFirst().map(\.paths))
      .filter { !$0.isEmpty }[...]
    outstanding = groups.popFirst() ?? []
    later = Set(groups.joined())
  }

  /// Whether the path may begin now. If not, `end` returns it later.
  mutating func admits(_ path: RelativePath) -> Bool {
    guard later.contains(path) else { return true }
    waiting.insert(path)
    return false
  }

  /// Notes that a path is published, or will not be published in this pass.
  ///
  /// - Returns: the paths that may begin now.
  mutating func end(_ path: RelativePath) -> [RelativePath] {
    guard outstanding.remove(path) != nil, outstanding.isEmpty, let next = groups.popFirst() else {
      return []
    }
    outstanding = next
    later.subtract(next)
    let ready = waiting.intersection(next)
    waiting.subtract(ready)
    return Array(ready)
  }
}

extension PassPlan {
  /// Files whose sizes decide their order when the time is short (`note(sizes:budget:)`).
  package var dataOfBatch: [RelativePath] {
    batch.entries.filter { path, entry in
      !entry.isGone && entry.pointsTo == nil && order.isData(path)
    }.map(\.key)
  }
}
