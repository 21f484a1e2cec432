import MirrorModel

/// The targets of recent renames. In an exchange, the target of each half is the origin of the other.
///
/// RENAME_EXCHANGE of renameat2(2) is reported as two renames, there and back. The second one seems to leave
/// a name empty although the name is in use. This breaks the rule that the last record about a name describes
/// the present state. So a departed name is rechecked if the departure may be half of an exchange.
struct RecentArrivals: Sendable {
  private struct Place: Sendable, Hashable {
    var parent: WatchTable.NodeID
    var name: RelativePath
  }

  /// The two halves of an exchange follow each other directly, except for renames by other threads.
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
