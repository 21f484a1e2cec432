import FileWatch
import LocalTree
import MirrorModel
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
  /// What was mounted below the root at entry. Nil where /proc is not to be read; then nothing can be watched either.
  private let mounts: TreeMounts?
  /// Nil where nothing is watched.
  private let makeWatcher: MakeWatcher?
  private let state: Mutex<State>
  /// Told that everything must be compared, while the limit of inotify instances leaves no watch.
  private let tell: @Sendable (WatchEvent) -> Void

  /// Makes the watch over a root, which is another one when the first was lost.
  typealias MakeWatcher = @Sendable (TreeRoot) throws -> TreeWatcher

  init(
    _ root: TreeRoot, makeWatcher: MakeWatcher?, aliases: Aliases? = nil,
    tell: @escaping @Sendable (WatchEvent) -> Void = { _ in }
  ) throws {
    first = root
    do { mounts = try TreeMounts(below: root) { aliases?.linksToDirectories ?? [] } } catch { mounts = nil }
    self.makeWatcher = makeWatcher
    self.tell = tell
    state = Mutex(State(root: root, watcher: try Self.watcher(over: root, from: makeWatcher)))
  }

  /// Nil where nothing is to be watched, or where the limit of inotify instances is reached (EMFILE): the root is
  /// compared at each tick then, until one is free.
  private static func watcher(over root: TreeRoot, from make: MakeWatcher?) throws -> TreeWatcher? {
    do {
      return try make?(root)
    } catch WatchError.instanceLimit {
      return nil
    }
  }

  /// False for an upload that is one comparison and no more.
  var isWatching: Bool { makeWatcher != nil }

  /// While the limit of inotify instances leaves no watch.
  var lacksWatcher: Bool { makeWatcher != nil && watcher == nil }

  var root: TreeRoot { state.withLock { $0.root } }

  private var watcher: TreeWatcher? { state.withLock { $0.watcher } }

  /// Whether the root is the directory that it was at entry; what is missing in another one was never deleted.
  var isThatOfEntry: Bool { root.identity == first.identity }

  /// Opens what the root's path leads to now, and watches it.
  ///
  /// - Parameter beforeWatching: called when the root is open and before its first event.
  /// - Throws: `TreeError` when it cannot be opened or read, `WatchError` when it cannot be watched.
  func renew(beforeWatching: () -> Void) async throws {
    let root = try TreeRoot(path: first.path, symlinks: first.symlinks)
    try root.checkAccess()
    await watcher?.stop()
    let watcher = try Self.watcher(over: root, from: makeWatcher)
    state.withLock { $0 = State(root: root, watcher: watcher) }
    beforeWatching()
    try await start()
  }

  // MARK: The watch

  func start() async throws {
    if lacksWatcher { tell(.rescan(.root, .instanceLimit)) }
    try await watcher?.start()
  }

  func fence() async { await watcher?.fence() }

  /// Returns when the watch's loop has come round.
  func answer() async { await watcher?.answer() }

  /// Tries again where no watch could be had, and has what is still without one compared.
  func retryUnwatched() async {
    guard lacksWatcher else {
      await watcher?.retryUnwatched()
      return
    }
    if case .success(let watcher?) = Result(catching: { try Self.watcher(over: root, from: makeWatcher) }) {
      do {
        try await watcher.start()
        state.withLock { $0.watcher = watcher }
      } catch {
        // The root has gone, which the lane finds out for itself; until then it is compared.
        await watcher.stop()
      }
    }
    // Also once more after the watch is in place, so that no change falls between.
    tell(.rescan(.root, .instanceLimit))
  }

  func stop() async { await watcher?.stop() }

  // MARK: Mounts below the root

  /// Has the places compared where something was mounted or unmounted since the last call.
  func noteMounts() async {
    // If the table cannot be read now, the next call tries again, and deletes are withheld until then.
    guard case .success(let places) = Result(catching: { try mounts?.takeChanges(below: root) ?? [] }),
      !places.isEmpty
    else { return }
    if let watcher {
      await watcher.revisit(places)
    } else if isWatching {
      tell(.rescan(.root, .instanceLimit))
    }
  }

  /// Learns on which filesystems the directories are that followed links lead to, as far as the links were just met.
  func noteFollowedLinks() {
    // If the table cannot be read now, the next call tries again.
    _ = Result { try mounts?.view(below: root) }
  }

  /// The places below which files may be out of sight, with what is mounted there now.
  func alterations(within directory: RelativePath) -> [RelativePath: Mount?] {
    guard case .success(let found?) = Result(catching: { try mounts?.alterations(below: root) }) else {
      return [:]
    }
    return found.filter { $0.key.isWithin(directory) }
  }

  /// Takes what is mounted at these places for what belongs there, where nothing was lost by it: no object is without a file.
  func accept(_ alterations: [RelativePath: Mount?]) {
    for (place, mount) in alterations {
      // If the table cannot be read now, deletes stay withheld there.
      _ = Result { try mounts?.accept(mount, at: place, below: root) }
    }
  }

  /// For what deletes: the same question, asked again before each batch.
  var hiddenPlaces: HiddenPlaces {
    { [mounts] root throws(TreeError) in try mounts?.view(below: root) ?? TreeMounts.View() }
  }

  /// For tests: what the watch knows of a directory.
  func watchEntry(of directory: RelativePath) async -> WatchTable.Node? {
    await watcher?.entry(of: directory)
  }

  func holdWatch(during change: @Sendable () throws -> Void) async throws {
    try await watcher?.hold(during: change)
  }

  /// For tests: calls to the watch that wait, because a change is held.
  var callsToWatch: Int { watcher?.waitingCalls ?? 0 }

  func injectOverflow() async { await watcher?.injectOverflow() }

  func injectOverflow(losing change: @Sendable () throws -> Void) async throws {
    try await watcher?.injectOverflow(losing: change)
  }
}

extension TreeRoot {
  /// Whether a read lease proves that nobody has the file open for writing. What is no file, or gone, has no writer; its
  /// last writes may have been told after it was renamed.
  func isWithoutWriter(_ path: RelativePath) -> Bool {
    do {
      return try open(path).map { $0.probeWriters() == .none } ?? true
    } catch {
      // What cannot be opened is reported by whoever has to publish it.
      if case .notRegular = error.detail { return true }
      // A symbolic link, or behind one.
      return error.errno == .tooManySymbolicLinkLevels
    }
  }
}
