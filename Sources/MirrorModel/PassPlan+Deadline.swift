/// The order in which data begin when the time is short: one checkpoint after the other, so that one is whole when the time is over
/// (END-10).
///
/// First goes the newest checkpoint that can be published in the time that is left, then what belongs to none, then the others, the newest
/// first. Nothing of the next group begins before all of the one before it has ended.
package struct DeadlineOrder: Sendable {
  /// How much can be published.
  package struct Budget: Sendable {
    package var seconds: Double
    /// As measured in this run; nil before anything was published.
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

    /// Of two groups that changed at one time, as files that were found by a comparison, the one with the higher step.
    static func isNewer(_ one: Group, than other: Group) -> Bool {
      if let step = one.step, let otherStep = other.step, step != otherStep { return step > otherStep }
      return one.lastChange > other.lastChange
    }
  }

  private var groups: ArraySlice<Set<RelativePath>> = []
  private var outstanding: Set<RelativePath> = []
  /// What could begin but for its group.
  private var waiting: Set<RelativePath> = []

  /// - Parameters:
  ///   - data: the files with their sizes and last changes.
  ///   - rest: names that belong to no checkpoint, such as logs.
  init(
    _ data: [RelativePath: (byteCount: Int64, lastChange: Instant)], rest: Set<RelativePath>, budget: Budget
  ) {
    var checkpoints: [RelativePath: Group] = [:]
    let members = data.keys.filter { !rest.contains($0) }
    let holders = Set(members.map(\.parent))
    for path in members {
      guard let known = data[path] else { continue }
      let place = Self.place(of: path, holders)
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
  }

  /// The checkpoint of a file: the uppermost directory with a step's name, or the one whose files appear together with it
  /// (`UnitStages`), whichever is further up; the root for what lies in neither.
  private static func place(of path: RelativePath, _ holders: Set<RelativePath>) -> RelativePath {
    let way = path.ancestors.reversed().filter { !$0.isRoot }
    return way.first { holders.contains($0) || StepName($0.name).isStep } ?? .root
  }

  /// Whether a path's turn has come. If not, it is given out later.
  mutating func admits(_ path: RelativePath) -> Bool {
    guard groups.contains(where: { $0.contains(path) }) else { return true }
    waiting.insert(path)
    return false
  }

  /// Notes that a path is published, or is not to be.
  ///
  /// - Returns: what may begin now.
  mutating func end(_ path: RelativePath) -> [RelativePath] {
    guard outstanding.remove(path) != nil, outstanding.isEmpty, let next = groups.popFirst() else {
      return []
    }
    outstanding = next
    let ready = waiting.intersection(next)
    waiting.subtract(ready)
    return Array(ready)
  }
}

extension PassPlan {
  /// Files whose sizes decide their order when the time is short (`note(sizes:budget:)`).
  package var dataOfBatch: [RelativePath] {
    batch.entries.filter { path, entry in
      !entry.isGone && !order.isMarker(path) && !order.marks.contains(path) && DirectoryMarker(path) == nil
    }.map(\.key)
  }
}
