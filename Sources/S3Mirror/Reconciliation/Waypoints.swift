import LocalTree
import MirrorModel
import Synchronization

/// Places in the walk from which a listing can be read ahead: the path of one local file every few pages.
///
/// A listing can only be read page by page from its beginning, unless keys further on are known. The local
/// tree provides them: if there is nothing to do, it has exactly the keys of the listing, so a known number
/// of pages lies between two of its files. (Common prefixes, listed with a delimiter, were rejected. They
/// cost requests and do not show how many keys are below them, and there are none if all keys are in one
/// directory.)
final class Waypoints: Sendable {
  /// Pages from one waypoint to the next.
  static let pages = 4
  /// Files from one waypoint to the next. A page has at most 1,000 keys (ListObjectsV2). One file is
  /// subtracted, because a stretch ends with the first key of the next stretch.
  static let standardStride = pages * 1_000 - 1

  private struct State {
    /// Files and directory markers: the keys of a listing if there is nothing to do.
    var keys = 0
    var waiting: [RelativePath] = []
  }

  private let stride: Int
  private let onDemand: @Sendable () -> Void
  private let state = Mutex(State())

  /// - Parameter onDemand: called whenever a listing asks for a waypoint: the walk may go further ahead then.
  init(stride: Int = Waypoints.standardStride, onDemand: @escaping @Sendable () -> Void = {}) {
    self.stride = stride
    self.onDemand = onDemand
  }

  /// Notes the items that the walk has found next.
  func pass(_ items: [WalkItem]) {
    state.withLock { state in
      for item in items {
        switch item {
        case .file(let path, _), .pointer(let path, _, _), .link(let path, _, _):
          state.keys += 1
          if state.keys.isMultiple(of: stride) { state.waiting.append(path) }
        case .emptyDirectory(let directory):
          state.keys += 1
          if state.keys.isMultiple(of: stride) { state.waiting.append(DirectoryMarker(of: directory).path) }
        case .directory, .skipped, .unreadable, .notUTF8: continue
        }
      }
    }
  }

  /// The next waypoint that the walk has reached; nil while there is none.
  func next() -> RelativePath? {
    onDemand()
    return state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
  }
}
