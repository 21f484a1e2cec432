import FileWatch
import Foundation
import MirrorModel
import TestSupport
import Testing

/// Mounting takes privileges that a build seldom has; where they are missing these tests are skipped.
@Suite(.enabled(if: mayMount, "mounting is not permitted"))
struct `mounts below the root` {
  // IN_UNMOUNT comes when a filesystem is mounted nowhere any more, and other tests make mount namespaces, which begin as
  // copies of this one: so it is waited for.

  @Test func `an unmounted filesystem is compared, and what it covered is watched`() async throws {
    try await withWatcher(prepare: { tree in
      try tree.makeDirectory("m")
      try tree.write("m/covered")
      #expect(run("mount", "-t", "tmpfs", "none", tree.path("m")))
      try tree.makeDirectory("m/a")
    }) { tree, watcher, log in
      try tree.write("m/a/x")
      await watcher.fence()
      #expect(log.take() == ["created m/a/x", "modified m/a/x", "closed m/a/x"])
      #expect(run("umount", tree.path("m")))
      try await log.wait(for: "rescan m remounted")
      await watcher.fence()
      let events = log.take()
      #expect(!events.contains { $0.hasPrefix("deleted") || $0.hasPrefix("directoryDeleted") })
      #expect(await watcher.watchCount == 2)
      try tree.write("m/covered", "new")
      await watcher.fence()
      #expect(log.take() == ["modified m/covered", "closed m/covered"])
    }
  }

  @Test func `an unmounted filesystem is compared once, however many directories it has`() async throws {
    try await withWatcher(prepare: { tree in
      try tree.makeDirectory("m")
      #expect(run("mount", "-t", "tmpfs", "none", tree.path("m")))
      for path in ["m/a", "m/a/b", "m/a/b/c", "m/d", "m/d/e"] { try tree.makeDirectory(path) }
    }) { tree, watcher, log in
      #expect(run("umount", tree.path("m")))
      try await log.wait(for: "rescan m remounted")
      await watcher.fence()
      #expect(log.take() == ["rescan m remounted"])
      #expect(await watcher.watchCount == 2)
    }
  }

  @Test func `a place that something was mounted over is watched anew when it is looked at again`()
    async throws
  {
    try await withWatcher(prepare: { tree in
      try tree.makeDirectory("m")
      try tree.write("m/hidden")
    }) { tree, watcher, log in
      #expect(run("mount", "-t", "tmpfs", "none", tree.path("m")))
      defer { #expect(run("umount", tree.path("m"))) }
      try tree.makeDirectory("m/new")
      await watcher.revisit(["m"])
      #expect(log.take() == ["rescan m remounted"])
      try tree.write("m/new/x")
      await watcher.fence()
      #expect(log.take() == ["created m/new/x", "modified m/new/x", "closed m/new/x"])
      #expect(await watcher.watchCount == 3)
    }
  }

  @Test func `a directory that shows at two places is watched at one and compared at the other`() async throws
  {
    try await withWatcher(prepare: { tree in
      for path in ["a", "b"] { try tree.makeDirectory(path) }
      #expect(run("mount", "--bind", tree.path("a"), tree.path("b")))
    }) { tree, watcher, log in
      let told = log.take()
      #expect(
        told == ["rescan a unwatchedFilesystem(\"bind mount\")"]
          || told == ["rescan b unwatchedFilesystem(\"bind mount\")"])
      await watcher.retryUnwatched()
      #expect(log.take() == told)
      try tree.write("a/x")
      await watcher.fence()
      #expect(log.take().count == 3)
      #expect(run("umount", tree.path("b")))
    }
  }

  @Test func `an unmounted root is lost`() async throws {
    let tree = try ScratchTree()
    #expect(run("mount", "-t", "tmpfs", "none", tree.root))
    try tree.write("x")
    let log = EventLog()
    let watcher = try await makeWatcher(tree.root) { log.append($0) }
    try await watcher.start()
    #expect(run("umount", tree.root))
    try await log.wait(for: "rootLost")
    #expect(log.take() == ["rootLost"])
    await watcher.stop()
  }
}

private let mayMount: Bool = {
  let directory = FileManager.default.temporaryDirectory.path + "/s3m-mount-\(UUID().uuidString)"
  guard getuid() == 0, mkdir(directory, 0o700) == 0 else { return false }
  defer { rmdir(directory) }
  return run("mount", "-t", "tmpfs", "none", directory) && run("umount", directory)
}()

private func run(_ command: String...) -> Bool { succeeds(command) }
