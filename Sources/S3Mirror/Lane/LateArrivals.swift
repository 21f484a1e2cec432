import MirrorModel
import Synchronization

/// Whether a name appeared in the tree while the last comparison looked at it.
///
/// The comparison may have read the directory before. Then such a name can belong to a file whose old name the
/// comparison did not find either, although the file was there all the time. Its object must stay.
final class LateArrivals: Sendable {
  private struct State {
    var isHearing = false
    var hasArrival = false
  }

  private let state = Mutex(State())

  /// Keeps all later events from the schedule, because no pass follows.
  func begin() { state.withLock { $0.isHearing = true } }

  /// Takes events that come after `begin`.
  ///
  /// - Returns: whether it has taken them.
  func take(_ events: [WatchEvent]) -> Bool {
    state.withLock { state in
      guard state.isHearing else { return false }
      if events.contains(where: \.mayBringName) { state.hasArrival = true }
      return true
    }
  }

  var hasBegun: Bool { state.withLock { $0.isHearing } }
  var hasArrival: Bool { state.withLock { $0.hasArrival } }
}

extension WatchEvent {
  /// Whether a name may be in the tree that was not there before.
  fileprivate var mayBringName: Bool {
    switch self {
    case .created, .linked, .found, .renamed, .directoryAppeared, .directoryRenamed, .undecodable, .rescan:
      true
    case .modified, .closed, .attributes, .deleted, .directoryDeleted, .directoryMovedAway, .rootLost: false
    }
  }
}
