// Bounds the memory of the set.
extension DirtySet {
  /// The most directories that are held one by one, to be compared or as deleted. Each costs a listing, so
  /// beyond this number their parents are compared instead.
  static let directoryCapacity = 1000

  mutating func keepWithinCapacity() {
    if entries.count > capacity { collapse() }
  }

  /// Replaces entries by comparisons of their directories until half of the capacity is free.
  ///
  /// The function reads every entry, so each call must free many entries. Then a storm of events costs a
  /// constant time per event. The directories with most entries are replaced first. If all directories have
  /// few entries, their parents are replaced instead, in the end the root.
  mutating func collapse() {
    let enough = entries.count - capacity / 2
    let mostDirectories = max(1, min(capacity / 8, Self.directoryCapacity / 8))
    var counts: [RelativePath: Int] = [:]
    for path in entries.keys { counts[path.parent, default: 0] += 1 }
    var chosen = Self.fullest(counts, until: enough, atMost: mostDirectories)
    while chosen == nil {
      counts = Self.joinDeepest(counts) { $0 + $1 }
      chosen = Self.fullest(counts, until: enough, atMost: mostDirectories)
    }
    drop(below: chosen ?? [.root])
    if rescans.count > Self.directoryCapacity { joinRescans() }
  }

  /// The directories with most entries; nil if the allowed number of directories holds too few entries.
  private static func fullest(
    _ counts: [RelativePath: Int], until enough: Int, atMost most: Int
  ) -> Set<RelativePath>? {
    // The root cannot be joined further.
    if counts.count == 1 { return Set(counts.keys) }
    var found = 0
    var chosen: Set<RelativePath> = []
    for (directory, count) in counts.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }).prefix(most) {
      chosen.insert(directory)
      found += count
      if found >= enough { return chosen }
    }
    return nil
  }

  /// Adds the counts of the deepest directories to their parents.
  private static func joinDeepest<Value>(
    _ table: [RelativePath: Value], _ join: (Value, Value) -> Value
  ) -> [RelativePath: Value] {
    let deepest = table.keys.lazy.map(\.depth).max() ?? 0
    var joined: [RelativePath: Value] = [:]
    for (directory, value) in table {
      let place = directory.depth == deepest ? directory.parent : directory
      joined[place] = joined[place].map { join($0, value) } ?? value
    }
    return joined
  }

  private mutating func drop(below chosen: Set<RelativePath>) {
    for (path, entry) in entries where path.ancestors.contains(where: chosen.contains) {
      oldestRescan = min(oldestRescan ?? entry.firstChange, entry.firstChange)
      entries[path] = nil
    }
    // One comparison covers everything below its directory.
    rescans = rescans.filter { directory, reason in
      reason != .collapsed || !directory.ancestors.contains(where: chosen.contains)
    }
    for directory in chosen where rescans[directory] == nil { rescans[directory] = .collapsed }
  }

  /// Replaces comparisons of too many directories by comparisons of their parents.
  mutating func joinRescans() {
    while rescans.count > Self.directoryCapacity / 2 {
      rescans = Self.joinDeepest(rescans) { first, _ in first }
    }
  }
}

extension RelativePath {
  /// Names in the path; none for the root.
  var depth: Int { isRoot ? 0 : string.utf8.lazy.filter { $0 == UInt8(ascii: "/") }.count + 1 }
}
