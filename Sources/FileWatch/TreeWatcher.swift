// Glossary
//
// watch       inotify's interest in one directory; the kernel has no recursive ones
// descriptor  the kernel's number of a watch: one for each directory's inode, whatever its name
// record      what read(2) gives: descriptor, mask, cookie, name
// cookie      connects the two records of a rename
// departure   the first half of a rename, while the second is awaited
// visit       to watch a directory and then list it, and so on below it
// found       a file that a visit met; its own events may have been missed
// trouble     why a directory's events are not complete, so that it has to be compared
// settle      to take departures for gone that found no arrival

import Glibc
import LoopThread
import MirrorModel
import SystemPackage

/// Tells of every change below a root directory, by inotify(7), on a thread of its own.
///
/// A change is told at least once, or the part of the tree that it may have happened in is named by `rescan`. The
/// path is the one that it has when the event is made; a rename that was under way follows. `directoryRenamed` and
/// `directoryMovedAway` mean that what was there below the old path is not there any more, named by events of its
/// own or not; where another directory has that path by now, `found` tells of its files afterwards.
package actor TreeWatcher {
  package struct Configuration: Sendable {
    /// What is neither watched nor told of. Asked on the watcher's thread, for every event.
    package var isExcluded: @Sendable (RelativePath, EntryKind) -> Bool = { _, _ in false }
    /// For tests: acts like ENOSPC beyond so many watches.
    package var maxWatches: Int?
    /// Bytes of one read: some thousand records, at 16 bytes and the name each.
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
  /// Whether nothing came while the second half of a rename was awaited.
  private var isQuiet = false

  /// Makes the inotify instance and starts the thread, which runs until `stop()`.
  ///
  /// - Parameter sink: gets the events in order, on the watcher's thread, never two calls at once. It must not block,
  ///   because the kernel's queue fills meanwhile.
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

  /// Watches the root and every directory below it, and returns when all that can be watched is.
  ///
  /// Files that lie there already are not told of: comparing them is up to the caller, after this. For what cannot
  /// be watched there is a `rescan`.
  ///
  /// - Throws: `WatchError` when the root cannot be watched for another reason than the limit.
  package func start() throws(WatchError) {
    guard let tree else { throw .stopped }
    try tree.start()
  }

  /// Returns when the sink has been given every change that happened before the call; renames are complete.
  package func fence() {
    tree?.catchUp()
  }

  /// Returns when the loop has come round: a loop that is stuck never answers.
  package func answer() {}

  /// Tries again to watch what could not be watched, and emits `rescan` for all that is not or was not until now,
  /// and for filesystems with writers elsewhere. To be called before each comparison of such parts.
  package func retryUnwatched() {
    tree?.retryUnwatched()
  }

  /// Looks anew at places where something was mounted or unmounted, and emits `rescan` for each.
  package func revisit(_ places: some Collection<RelativePath> & Sendable) {
    tree?.catchUp()
    for place in places.sorted() { tree?.revisit(place) }
    tree?.catchUp()
  }

  /// Ends the watch and its thread. Events that were not fenced before are lost. Safe to call twice.
  package func stop() async {
    close()
    await Self.join(loop)
  }

  package var watchCount: Int { tree?.translation.table.descriptorCount ?? 0 }

  /// For tests that have to explain what they found: what is known of a directory; nil where it is not known.
  package func entry(of directory: RelativePath) -> WatchTable.Node? {
    guard let table = tree?.translation.table else { return nil }
    return table.node(at: directory).flatMap { table[$0] }
  }

  /// For tests: carries out a change of which no event is read before all of it is done.
  package func hold(during change: @Sendable () throws -> Void) throws {
    tree?.catchUp()
    try change()
  }

  /// For tests: calls that wait, because a change is held.
  package nonisolated var waitingCalls: Int { loop.waitingJobs }

  /// For tests: acts as if the kernel had dropped the events that wait to be read.
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

  /// A loop cannot join itself, so it is joined from the cooperative pool, when it has nothing left to do.
  @concurrent
  private static func join(_ loop: LoopThread) async {
    loop.stop()
  }

  /// The root's path as it is now: the program may change its working directory.
  private static func absolute(_ path: FilePath) throws(WatchError) -> FilePath {
    guard path.isRelative else { return path }
    guard let buffer = getcwd(nil, 0) else {
      throw .system(operation: "getcwd", path: path, Errno(rawValue: errno))
    }
    defer { free(buffer) }
    return FilePath(platformString: buffer).pushing(path)
  }
}
