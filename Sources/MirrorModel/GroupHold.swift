/// The commit markers that wait for the group of hosts, whatever is published here.
///
/// A marker of a group may name data of other hosts. `GroupMember` decides when they are published; a pass
/// leaves the marker until then.
package enum GroupHold: Hashable, Sendable {
  /// The mirror belongs to no group.
  case none
  /// All markers wait, except those that the group has released.
  case markers(except: Set<RelativePath>)

  func holds(_ marker: RelativePath) -> Bool {
    switch self {
    case .none: false
    case .markers(let released): !released.contains(marker)
    }
  }
}
