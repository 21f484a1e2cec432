import MirrorModel

/// Where renames ended of late: either half of an exchange ends where the other began.
///
/// RENAME_EXCHANGE of renameat2(2) shows itself as two renames, there and back, of which the second seems to leave
/// a name empty that is not. It breaks the rule that the last record about a name tells the present state, so a
/// name that was left is looked at again where that may have happened.
struct RecentArrivals: Sendable {
  private struct Place: Sendable, Hashable {
    var parent: WatchTable.NodeID
    var name: RelativePath
  }

  /// The halves of an exchange follow each other but for other threads' renames.
  private static let capacity = 64

  /// Oldest first.
  private var places: [Place] = []

  mutating func note(_ name: RelativePath, under parent: WatchTable.NodeID) {
    if places.count == Self.capacity { places.removeFirst() }
    places.append(Place(parent: parent, name: name))
  }

  func contains(_ name: RelativePath, under parent: WatchTable.NodeID) -> Bool {
    places.contains(Place(parent: parent, name: name))
  }
}
