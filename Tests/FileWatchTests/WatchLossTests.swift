import Dispatch
import Foundation
import MirrorModel
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import FileWatch

@Suite struct `lost events and missing watches` {
  @Test(.promise("CHG-8"))
  func `an overflow has everything compared and new directories watched`() async throws {
    try await withWatcher { tree, watcher, log in
      await watcher.injectOverflow()
      #expect(log.take() == ["rescan . queueOverflow"])
      try tree.makeDirectory("a")
      await watcher.injectOverflow()
      let events = log.take()
      #expect(events.contains("directoryAppeared a"))
      #expect(events.last == "rescan . queueOverflow")
      try tree.write("a/x")
      await watcher.fence()
      #expect(log.take() == ["created a/x", "modified a/x", "closed a/x"])
    }
  }

  @Test func `a test's overflow loses the events of its change, and no others`() async throws {
    try await withWatcher { tree, watcher, log in
      try tree.write("before")
      try await watcher.injectOverflow { try tree.write("lost") }
      #expect(log.take() == ["created before", "modified before", "closed before", "rescan . queueOverflow"])
      try tree.write("after")
      await watcher.fence()
      #expect(log.take() == ["created after", "modified after", "closed after"])
    }
  }

  @Test func `the kernel's own overflow is mended`() async throws {
    let gate = DispatchSemaphore(value: 0)
    let isFirst = Atomic(true)
    let tree = try ScratchTree()
    let log = EventLog()
    let watcher = try await makeWatcher(tree.root) { events in
      // The first batch holds the watcher back until the kernel's queue is full.
      if isFirst.exchange(false, ordering: .relaxed) { gate.wait() }
      log.append(events)
    }
    try await watcher.start()
    try tree.write("first")
    let fence = Task { await watcher.fence() }
    let limit = WatchLimits.current().queuedEvents ?? 16_384
    for index in 0...(limit / 2) {
      // Two names in turn: equal records that follow each other become one (inotify(7)).
      try tree.write("a-\(index)", "")
      try tree.delete("a-\(index)")
    }
    try tree.makeDirectory("late")
    try tree.write("late/x")
    gate.signal()
    await fence.value
    await watcher.fence()
    #expect(log.all.contains(.rescan(.root, .queueOverflow)))
    #expect(await watcher.watchCount == 2)
    _ = log.take()
    try tree.write("late/x", "more")
    await watcher.fence()
    #expect(log.all.contains(.closed("late/x")))
    await watcher.stop()
  }

  @Test func `an overflow forgets what vanished`() async throws {
    try await withWatcher(prepare: { tree in
      for path in ["a", "a/b"] { try tree.makeDirectory(path) }
    }) { tree, watcher, log in
      try tree.move("a", "^a")
      await watcher.injectOverflow()
      #expect(await watcher.watchCount == 1)
    }
  }

  @Test func `directories beyond the watch limit are compared, and watched when there is room`() async throws
  {
    var configuration = TreeWatcher.Configuration()
    configuration.maxWatches = 2
    try await withWatcher(
      configuration,
      prepare: { tree in
        try tree.makeDirectory("a")
      }
    ) { tree, watcher, log in
      try tree.makeDirectory("b")
      try tree.makeDirectory("b/c")
      try tree.write("b/c/x")
      await watcher.fence()
      #expect(log.take() == ["rescan b watchLimit"])
      await watcher.retryUnwatched()
      #expect(log.take() == ["rescan b watchLimit"])
      try tree.removeDirectory("a")
      await watcher.fence()
      await watcher.retryUnwatched()
      #expect(log.take() == ["directoryDeleted a", "rescan b/c watchLimit", "rescan b watchLimit"])
      #expect(await watcher.watchCount == 2)
      try tree.write("b/y")
      await watcher.fence()
      #expect(log.take() == ["created b/y", "modified b/y", "closed b/y"])
    }
  }

  /// The refused watch of one was taken for trouble with the other, and took it along to the other's new name.
  @Test func `of two directories that are exchanged, the one without a watch is still compared`() async throws
  {
    var configuration = TreeWatcher.Configuration()
    configuration.maxWatches = 2
    try await withWatcher(
      configuration,
      prepare: { tree in
        for name in ["a", "b"] { try tree.makeDirectory(name) }
      }
    ) { tree, watcher, log in
      #expect(exchangeNames(tree.path("a"), tree.path("b")) == 0)
      await watcher.fence()
      _ = log.take()
      await watcher.retryUnwatched()
      let compared = log.take()
      #expect(compared == ["rescan a watchLimit"] || compared == ["rescan b watchLimit"])
      let watched = compared == ["rescan a watchLimit"] ? "b" : "a"
      try tree.write(watched + "/x")
      await watcher.fence()
      #expect(log.take().contains("closed \(watched)/x"))
    }
  }

  /// The table is behind the disk while the rename's records wait, and the directory is not where it says.
  @Test func `a directory without a watch that is renamed with its parent is still compared`() async throws {
    try await InotifyInstances.waitForOne()
    let tree = try ScratchTree()
    try tree.makeDirectory("a")
    try tree.makeDirectory("a/b")
    var configuration = TreeWatcher.Configuration()
    configuration.maxWatches = 2
    let log = EventLog()
    let watched = try WatchedTree(root: FilePath(tree.root), configuration: configuration) { log.append($0) }
    try watched.start()
    #expect(log.take() == ["rescan a/b watchLimit"])
    try tree.move("a", "c")
    watched.retryUnwatched()
    _ = log.take()
    watched.retryUnwatched()
    #expect(log.take() == ["rescan c/b watchLimit"])
  }

  @Test func `a root without a watch is compared until it has one`() async throws {
    var configuration = TreeWatcher.Configuration()
    configuration.maxWatches = 0
    try await withWatcher(configuration) { tree, watcher, log in
      #expect(log.take() == ["rescan . watchLimit"])
      await watcher.retryUnwatched()
      #expect(log.take() == ["rescan . watchLimit"])
    }
  }

  @Test(.enabled(if: getuid() != 0, "root may read everything"))
  func `a directory that may not be read is compared, and watched once it may`() async throws {
    try await withWatcher(prepare: { tree in
      try tree.makeDirectory("a")
      #expect(chmod(tree.path("a"), 0) == 0)
    }) { tree, watcher, log in
      #expect(log.take() == ["rescan a unreadable(\(EACCES))"])
      #expect(chmod(tree.path("a"), 0o755) == 0)
      try tree.write("a/x")
      await watcher.fence()
      #expect(changedFiles(log.all) == ["a/x"])
    }
  }

  @Test func `a deleted root is lost, once`() async throws {
    try await withWatcher(prepare: { tree in try tree.write("x") }) { tree, watcher, log in
      try tree.removeAll("")
      await watcher.fence()
      #expect(log.take() == ["deleted x", "rootLost"])
      await watcher.fence()
      await watcher.retryUnwatched()
      #expect(log.take() == [])
      #expect(await watcher.watchCount == 0)
    }
  }

  @Test func `a root that is moved and replaced is lost`() async throws {
    try await withWatcher { tree, watcher, log in
      try tree.move("^tree", "^elsewhere")
      try tree.makeDirectory("^tree")
      try tree.write("x")
      await watcher.fence()
      #expect(log.take() == ["rootLost"])
    }
  }

  @Test func `a root that moved with the directory above it is lost`() async throws {
    let tree = try ScratchTree()
    try tree.makeDirectory("deep")
    let log = EventLog()
    let watcher = try await makeWatcher(tree.path("deep")) { log.append($0) }
    try await watcher.start()
    try tree.move("^tree", "^elsewhere")
    await watcher.fence()
    #expect(log.take() == ["rootLost"])
    await watcher.stop()
  }

  @Test func `a missing root is an error that names it`() async throws {
    let watcher = try await makeWatcher("/nonexistent/s3m") { _ in }
    let error = await #expect(throws: WatchError.self) { try await watcher.start() }
    #expect(error?.description.contains("/nonexistent/s3m") == true)
    await watcher.stop()
  }

  @Test func `after stop there is nothing more`() async throws {
    try await withWatcher { tree, watcher, log in
      await watcher.stop()
      try tree.write("x")
      await watcher.fence()
      #expect(log.take() == [])
      await #expect(throws: WatchError.self) { try await watcher.start() }
    }
  }

  @Test(.promise("CHG-8"))
  func `advice names the limit that binds, its number and a larger one`() {
    let limits = WatchLimits(watches: 8_192, instances: 128, queuedEvents: 16_384, namespaceWatches: 100)
    #expect(
      limits.advice(for: .watchLimit, watchesNeeded: 5_000)
        == "raise user.max_inotify_watches, now 100: sysctl user.max_inotify_watches=5000")
    #expect(
      limits.advice(for: .queueOverflow)
        == "raise fs.inotify.max_queued_events, now 16384: sysctl fs.inotify.max_queued_events=32768")
    #expect(limits.advice(for: .instanceLimit)?.contains("fs.inotify.max_user_instances=256") == true)
    let few = WatchLimits(instances: 128, namespaceInstances: 1)
    #expect(
      few.advice(for: .instanceLimit)
        == "raise user.max_inotify_instances, now 1: sysctl user.max_inotify_instances=2")
    #expect(limits.advice(for: .unreadable(13)) == nil)
  }

  @Test func `filesystems with writers elsewhere are known by their magic`() {
    #expect(FilesystemKind(type: 0x6969).remoteName == "nfs")
    #expect(FilesystemKind(type: 0x6573_5546).remoteName == "fuse")
    #expect(FilesystemKind(type: 0xEF53).remoteName == nil)  // ext4
    #expect(FilesystemKind(type: 0x794C_7630).remoteName == nil)  // overlayfs
  }
}
