import FileWatch
import LocalTree
import MirrorModel
import Synchronization
import SystemPackage

/// The local side of one upload: the root directory and the watch over it. Both are opened anew when a lost
/// root is there again.
final class WatchedRoot: Sendable {
  private struct State {
    var root: TreeRoot
    var watch: (any TreeWatch)?
  }

  /// The directory at entry. It stays open, so that no other directory gets its inode number meanwhile.
  private let first: TreeRoot
  /// What was mounted below the root at entry. Nil if /proc cannot be read; then nothing can be watched
  /// either.
  private let mounts: TreeMounts?
  /// Nil if nothing is watched.
  private let makeWatch: MakeWatch?
  private let state: Mutex<State>
  /// Receives the event that everything must be compared, while the limit of inotify instances prevents a
  /// watch.
  private let tell: @Sendable (WatchEvent) -> Void

  /// Makes the watch over a root. The root may be another directory than at entry.
  typealias MakeWatch = @Sendable (TreeRoot) throws -> any TreeWatch

  init(
    _ root: TreeRoot, makeWatch: MakeWatch?, aliases: Aliases? = nil,
    tell: @escaping @Sendable (WatchEvent) -> Void = { _ in }
  ) throws {
    first = root
    do { mounts = try TreeMounts(below: root) { aliases?.linksToDirectories ?? [] } } catch { mounts = nil }
    self.makeWatch = makeWatch
    self.tell = tell
    state = Mutex(State(root: root, watch: try Self.watch(over: root, from: makeWatch)))
  }

  /// Nil if nothing is to be watched, or if the limit of inotify instances is reached (EMFILE). In the second
  /// case the root is compared at each tick until an instance is free.
  private static func watch(over root: TreeRoot, from make: MakeWatch?) throws -> (any TreeWatch)? {
    do {
      return try make?(root)
    } catch WatchError.instanceLimit {
      return nil
    }
  }

  /// False for an upload that compares only once.
  var isWatching: Bool { makeWatch != nil }

  /// Whether the limit of inotify instances prevents the watch.
  var lacksWatch: Bool { makeWatch != nil && watch == nil }

  var root: TreeRoot { state.withLock { $0.root } }

  private var watch: (any TreeWatch)? { state.withLock { $0.watch } }

  /// Whether the root is the directory of entry. Files that are missing in another directory were never
  /// deleted.
  var isThatOfEntry: Bool { root.identity == first.identity }

  /// Opens the directory to which the root's path leads now, and watches it.
  ///
  /// - Parameter beforeWatching: called when the root is open and before its first event.
  /// - Throws: `TreeError` if it cannot be opened or read, `WatchError` if it cannot be watched.
  func renew(beforeWatching: () -> Void) async throws {
    let root = try TreeRoot(path: first.path, symlinks: first.symlinks, in: first.fileSystem)
    try root.checkAccess()
    await watch?.stop()
    let watch = try Self.watch(over: root, from: makeWatch)
    state.withLock { $0 = State(root: root, watch: watch) }
    beforeWatching()
    try await start()
  }

  // MARK: The watch

  func start() async throws {
    if lacksWatch { tell(.rescan(.root, .instanceLimit)) }
    try await watch?.start()
  }

  func fence() async { await watch?.fence() }

  /// Returns when the watch's loop has completed a turn.
  func answer() async { await watch?.answer() }

  /// Tries again to watch the parts without a watch, and has those compared that still have none.
  func retryUnwatched() async {
    guard lacksWatch else {
      await watch?.retryUnwatched()
      return
    }
    if case .success(let watch?) = Result(catching: { try Self.watch(over: root, from: makeWatch) }) {
      do {
        try await watch.start()
        state.withLock { $0.watch = watch }
      } catch {
        // The root is gone. The lane finds this out itself; until then the root is compared.
        await watch.stop()
      }
    }
    // Once more after the watch has started too, so that no change is missed.
    tell(.rescan(.root, .instanceLimit))
  }

  func stop() async { await watch?.stop() }

  // MARK: Mounts below the root

  /// Has each place compared where something was mounted or unmounted since the last call.
  func noteMounts() async {
    // If the table cannot be read now, the next call tries again, and deletes are withheld until then.
    guard case .success(let places) = Result(catching: { try mounts?.takeChanges(below: root) ?? [] }),
      !places.isEmpty
    else { return }
    if let watch {
      await watch.revisit(Array(places))
    } else if isWatching {
      tell(.rescan(.root, .instanceLimit))
    }
  }

  /// Finds the filesystems of directories to which links lead that were followed since the last call.
  func noteFollowedLinks() {
    // If the table cannot be read now, the next call tries again.
    _ = Result { try mounts?.view(below: root) }
  }

  /// The places below which files may be hidden by a mount, with what is mounted there now.
  func alterations(within directory: RelativePath) -> [RelativePath: Mount?] {
    guard case .success(let found?) = Result(catching: { try mounts?.alterations(below: root) }) else {
      return [:]
    }
    return found.filter { $0.key.isWithin(directory) }
  }

  /// Accepts what is mounted at these places as normal. The caller has checked that no object there lacks a
  /// file.
  func accept(_ alterations: [RelativePath: Mount?]) {
    for (place, mount) in alterations {
      // If the table cannot be read now, deletes stay withheld there.
      _ = Result { try mounts?.accept(mount, at: place, below: root) }
    }
  }

  /// The hidden places, read again before each batch of deletes.
  var hiddenPlaces: HiddenPlaces {
    { [mounts] root throws(TreeError) in try mounts?.view(below: root) ?? TreeMounts.View() }
  }
}

extension TreeRoot {
  /// Whether a read lease proves that no process has the file open for writing. A path without a regular file
  /// has no writer: its last writes may have been reported after it was renamed.
  func isWithoutWriter(_ path: RelativePath) -> Bool {
    do {
      return try open(path).map { $0.probeWriters() == .none } ?? true
    } catch {
      // The publication reports a file that cannot be opened.
      if case .notRegular = error.detail { return true }
      // The path is a symbolic link, or leads through one.
      return error.errno == .tooManySymbolicLinkLevels
    }
  }
}
