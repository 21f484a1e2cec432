import LocalTree
import MirrorModel
import Synchronization

/// Places in the walk at which a listing may be taken up ahead of itself: the path of one local file every few pages.
///
/// A listing can only be read from its beginning, a page after a page, unless somebody knows keys further on. The local tree
/// does: where there is nothing to do it holds the very keys that the listing will bring, so that what lies between two of
/// its files is a known number of pages. (Common prefixes, asked for with a delimiter, cost requests, say nothing of
/// how much lies below them, and are none where all keys lie in one directory.)
final class Waypoints: Sendable {
  /// Pages from one waypoint to the next.
  static let pages = 4
  /// Files from one to the next. A page holds at most 1,000 keys (ListObjectsV2); one key less in all, since a stretch
  /// ends on the key with which the next begins.
  static let standardStride = pages * 1_000 - 1

  private struct State {
    /// Files and markers of directories: what a listing holds where there is nothing to do.
    var keys = 0
    var waiting: [RelativePath] = []
  }

  private let stride: Int
  private let state = Mutex(State())

  init(stride: Int = Waypoints.standardStride) {
    self.stride = stride
  }

  /// What the walk met next.
  func pass(_ items: [WalkItem]) {
    state.withLock { state in
      for item in items {
        switch item {
        case .file(let path, _):
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

  /// The next one that the walk has come to; nil while there is none.
  func next() -> RelativePath? {
    state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
  }
}
