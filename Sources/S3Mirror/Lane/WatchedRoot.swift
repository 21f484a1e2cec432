import FileWatch
import LocalTree
import Synchronization
import SystemPackage

/// The local side of one upload: the root directory and the watch over it, both made anew when the root was lost and
/// is there again.
final class WatchedRoot: Sendable {
  private struct State {
    var root: TreeRoot
    var watcher: TreeWatcher?
  }

  /// The directory of entry. It stays open, so that its inode number cannot go to another directory meanwhile.
  private let first: TreeRoot
  /// Nil where nothing is watched.
  private let makeWatcher: (@Sendable () throws -> TreeWatcher)?
  private let state: Mutex<State>

  init(_ root: TreeRoot, makeWatcher: (@Sendable () throws -> TreeWatcher)?) throws {
    first = root
    self.makeWatcher = makeWatcher
    state = Mutex(State(root: root, watcher: try makeWatcher?()))
  }

  var root: TreeRoot { state.withLock { $0.root } }

  private var watcher: TreeWatcher? { state.withLock { $0.watcher } }

  /// Whether the root is the directory that it was at entry; what is missing in another one was never deleted.
  var isThatOfEntry: Bool { root.identity == first.identity }

  /// Opens what the root's path leads to now, and watches it.
  ///
  /// - Parameter beforeWatching: called when the root is open and before its first event.
  /// - Throws: `TreeError` when it cannot be opened, `WatchError` when it cannot be watched.
  func renew(beforeWatching: () -> Void) async throws {
    let root = try TreeRoot(path: first.path)
    await watcher?.stop()
    let watcher = try makeWatcher?()
    state.withLock { $0 = State(root: root, watcher: watcher) }
    beforeWatching()
    try await watcher?.start()
  }

  // MARK: The watch

  func start() async throws { try await watcher?.start() }

  func fence() async { await watcher?.fence() }

  func retryUnwatched() async { await watcher?.retryUnwatched() }

  func stop() async { await watcher?.stop() }

  func injectOverflow() async { await watcher?.injectOverflow() }
}
