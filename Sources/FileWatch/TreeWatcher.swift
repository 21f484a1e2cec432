// Glossary
//
// watch       inotify's interest in one directory; the kernel has no recursive watches
// descriptor  the kernel's number of a watch: one for each directory's inode, whatever its name
// record      one structure that read(2) returns: descriptor, mask, cookie, name
// cookie      connects the two records of a rename
// departure   the first half of a rename, until the second half arrives
// arrival     the second half of a rename
// exchange    a rename that swaps two names (renameat2(2), RENAME_EXCHANGE)
// visit       to watch a directory and then list it, and so on below it
// found       said of a file that a visit listed; its own events may have been missed
// displaced   said of a directory whose name another directory has taken
// trouble     why a directory's events are incomplete, so that it has to be compared
// settle      to give up departures that have no arrival
// fence       to wait until all earlier changes are reported

import Glibc
import LoopThread
import MirrorModel
import SystemPackage

/// Reports every change below a root directory, by inotify(7), on a thread of its own.
///
/// Every change is reported at least once, or a `rescan` names the part of the tree in which it may have
/// happened. An event has the path that is valid when the event is made; a rename that was in progress
/// follows. `directoryRenamed` and `directoryMovedAway` mean that the former content below the old path is
/// gone, with or without events of its own. If another directory has that path by then, `found` reports its
/// files afterwards.
package actor TreeWatcher {
  package struct Configuration: Sendable {
    /// Paths that are neither watched nor reported. Called on the watcher's thread for every event.
    package var isExcluded: @Sendable (RelativePath, EntryKind) -> Bool = { _, _ in false }
    /// For tests: a limit of watches that acts like ENOSPC.
    package var maxWatches: Int?
    /// The size of one read in bytes: some thousand records of 16 bytes plus the name.
    package var readBufferBytes = 256 << 10

    package init() {}

    package init(isExcluded: @escaping @Sendable (RelativePath, EntryKind) -> Bool) {
      self.isExcluded = isExcluded
    }
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: LoopThread
  private let wakeup: Wakeup
  /// Nil after `stop()`.
  private var tree: WatchedTree?
  /// Whether no record came while the second half of a rename was awaited.
  private var isQuiet = false

  /// Creates the inotify instance and starts the thread, which runs until `stop()`.
  ///
  /// - Parameter sink: receives the events in order, on the watcher's thread, in one call at a time. It must
  ///   not block, because the kernel's queue fills in the meantime.
  /// - Throws: `WatchError.instanceLimit`, or another `WatchError`; `ThreadError`.
  package init(
    root: FilePath, configuration: Configuration = .init(), sink: @escaping @Sendable ([WatchEvent]) -> Void
  ) throws {
    let loop = LoopThread(name: "s3m-watch")
    self.loop = loop
    let wakeup = try Wakeup()
    self.wakeup = wakeup
    tree = try WatchedTree(root: Self.absolute(root), configuration: configuration, sink: sink)
    try loop.start(
      turn: { self.assumeIsolated { $0.turn() } },
      wait: { self.assumeIsolated { $0.wait() } },
      wake: { wakeup.signal() })
  }

  /// Watches the root and every directory below it. Returns when every possible watch is set.
  ///
  /// Existing files are not reported; the caller compares them after this call. Each directory that cannot be
  /// watched is reported as a `rescan`.
  ///
  /// - Throws: `WatchError` if the root cannot be watched for a reason other than the limit.
  package func start() throws(WatchError) {
    guard let tree else { throw .stopped }
    try tree.start()
  }

  /// Returns when the sink has received every change that happened before the call. All renames are complete.
  package func fence() {
    tree?.catchUp()
  }

  /// Returns once the loop has answered. A stuck loop never answers.
  package func answer() {}

  /// Tries again to set missing watches. Emits `rescan` for all directories that have no watch or had none
  /// until now, and for filesystems that other machines may write. Call it before each comparison of such
  /// parts.
  package func retryUnwatched() {
    tree?.retryUnwatched()
  }

  /// Visits places again where a filesystem was mounted or unmounted, and emits `rescan` for each.
  package func revisit(_ places: some Collection<RelativePath> & Sendable) {
    tree?.catchUp()
    for place in places.sorted() { tree?.revisit(place) }
    tree?.catchUp()
  }

  /// Ends the watch and its thread. Events that were not fenced before are lost. A second call has no effect.
  package func stop() async {
    close()
    await Self.join(loop)
  }

  package var watchCount: Int { tree?.translation.table.descriptorCount ?? 0 }

  /// For tests that explain a failure: the table's entry of a directory; nil if the directory is unknown.
  package func entry(of directory: RelativePath) -> WatchTable.Node? {
    guard let table = tree?.translation.table else { return nil }
    return table.node(at: directory).flatMap { table[$0] }
  }

  /// For tests: makes a change while no event is read.
  package func hold(during change: @Sendable () throws -> Void) throws {
    tree?.catchUp()
    try change()
  }

  /// For tests: how many calls wait because of `hold`.
  package nonisolated var waitingCalls: Int { loop.waitingJobs }

  /// For tests: acts as if the kernel had dropped the waiting events.
  package func injectOverflow() {
    tree?.overflow()
  }

  /// For tests: acts as if the kernel had dropped the events of this change.
  package func injectOverflow(losing change: @Sendable () throws -> Void) throws {
    try tree?.overflow(losing: change)
  }
}

extension TreeWatcher {
  private func turn() {
    wakeup.drain()
    tree?.turn(isQuiet: isQuiet)
    isQuiet = false
  }

  private func wait() {
    guard let tree else { return }
    isQuiet = tree.wait(alsoFor: wakeup.descriptor) == .timedOut
  }

  private func close() {
    tree = nil
  }

  /// A loop cannot join itself, so it is joined from the cooperative pool.
  @concurrent
  private static func join(_ loop: LoopThread) async {
    loop.stop()
  }

  /// The root's absolute path, because the program may change its working directory.
  private static func absolute(_ path: FilePath) throws(WatchError) -> FilePath {
    guard path.isRelative else { return path }
    guard let buffer = getcwd(nil, 0) else {
      throw .system(operation: "getcwd", path: path, Errno(rawValue: errno))
    }
    defer { free(buffer) }
    return FilePath(platformString: buffer).pushing(path)
  }
}
