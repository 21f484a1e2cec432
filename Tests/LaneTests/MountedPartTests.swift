import Foundation
import Glibc
import LocalTree
import MirrorModel
import TestSupport
import Testing

@testable import S3Mirror

@Suite(.enabled(if: MountNamespace.isPermitted && !MountNamespace.isOwn, "mounting is not permitted"))
struct MountNamespaceTests {
  @Test func `mounts below the root pass their tests in a namespace of their own`() throws {
    let (status, output) = try MountNamespace.run(suite: "MountedPartTests")
    #expect(status == 0, "\(output)")
    // A filter that finds nothing passes, too.
    #expect(output.contains("Suite MountedPartTests passed"), "\(output)")
  }
}

/// Filesystems that are mounted and unmounted below the root: what is out of sight was not deleted.
@Suite(
  .enabled(if: MountNamespace.isOwn, "MountNamespaceTests runs them, in a namespace of their own"),
  .serialized)
struct MountedPartTests {
  private func name(_ number: Int) -> String { "f\(number + 10)" }

  /// 60 files in `d`, 40 in `m`, where a filesystem is mounted.
  private func fill(_ tree: String) throws {
    for (directory, count) in [("d", 60), ("m", 40)] {
      try #require(mkdir(tree + "/" + directory, 0o755) == 0)
      if directory == "m" { try mountMemory(tree + "/m") }
      for number in 0..<count {
        try DiskFiles().write("\(tree)/\(directory)/\(name(number))", "x")
      }
    }
  }

  private func mountMemory(_ place: String) throws {
    try #require(mount("none", place, "tmpfs", 0, nil) == 0)
  }

  private func bind(_ source: String, _ place: String) throws {
    try #require(mount(source, place, nil, UInt(MS_BIND), nil) == 0)
  }

  private func unmount(_ place: String) throws {
    // A look may be in it just now: EBUSY.
    try #require(umount2(place, Int32(MNT_DETACH)) == 0)
  }

  private func run(
    interval: Duration? = nil, bound: DeleteBound = .unlimited,
    symlinks: SymlinkPolicy = .skip, prepare: ((String) throws -> Void)? = nil,
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval)
    configuration.bound = bound
    configuration.symlinks = symlinks
    let mirror = try await LaneUnderTest(store, configuration) { tree, _ in try (prepare ?? fill)(tree) }
    try await mirror.start()
    try await body(mirror, store)
    while umount2(mirror.tree + "/m", Int32(MNT_DETACH)) == 0 {}
    while umount2(mirror.tree + "/d", Int32(MNT_DETACH)) == 0 {}
    umount2(mirror.outside + "/disk", Int32(MNT_DETACH))
    try mirror.removeDirectory()
  }

  /// A new file there is published, and then what is written to it.
  private func expectWatched(_ path: String, _ mirror: LaneUnderTest, _ store: FakeObjectStore) async throws {
    for text in ["one", "two"] {
      try mirror.write(path, text)
      try await mirror.lane.flush()
      #expect(await store.text("t/" + path) == text)
    }
  }

  private func withheld(_ report: MirrorReport.Upload, naming place: String) -> Int {
    report.withheld.count { $0.reason.hasPrefix("at \(place) another filesystem is mounted") }
  }

  @Test(.promise("DEL-4"), arguments: [DeleteBound.standard, .unlimited])
  func `an unmounted part deletes nothing, and the rest of the tree goes on`(bound: DeleteBound) async throws
  {
    try await run(bound: bound) { mirror, store in
      try unmount(mirror.tree + "/m")
      try mirror.remove("d/" + name(0))
      let report = await mirror.finish()
      #expect(await store.keys.count == 99)
      #expect(report.deleted == 1)
      #expect(report.withheldDeletes == 40)
      #expect(withheld(report, naming: "m") == 40)
      #expect(report.failures == [])
      #expect(report.drift == 0)
    }
  }

  @Test func `objects of an unmounted part stay, even of files that were deleted before the unmount`()
    async throws
  {
    try await run { mirror, store in
      try mirror.remove("m/" + name(0))
      try mirror.write("m/" + name(1), "new")
      try unmount(mirror.tree + "/m")
      try await mirror.lane.flush()
      #expect(await store.keys.count == 100)
      try await mirror.lane.flush()
      #expect(mirror.notices.texts.count { $0.contains("a filesystem was mounted or unmounted there") } == 1)
      let report = await mirror.finish()
      #expect(await store.keys.count == 100)
      #expect(withheld(report, naming: "m") == 40)
    }
  }

  @Test func `a bind mount whose end no event reports deletes nothing`() async throws {
    try await run(prepare: { tree in
      try fill(tree)
      try unmount(tree + "/m")
      try bind(tree + "/../outside", tree + "/m")
      for number in 0..<40 { try DiskFiles().write("\(tree)/m/\(name(number))", "x") }
    }) { mirror, store in
      try unmount(mirror.tree + "/m")
      // What it had covered is published, and watched from now on.
      try await expectWatched("m/below", mirror, store)
      let report = await mirror.finish()
      #expect(await store.keys.count == 101)
      #expect(withheld(report, naming: "m") == 40)
    }
  }

  @Test(.promise("DEL-4"))
  func `a filesystem that is mounted over files hides them, and deletes nothing`() async throws {
    try await run { mirror, store in
      try mountMemory(mirror.tree + "/d")
      try await expectWatched("d/new", mirror, store)
      let report = await mirror.finish()
      #expect(await store.keys.count == 101)
      #expect(withheld(report, naming: "d") == 60)
    }
  }

  @Test func `a mount that comes and goes between two checks changes nothing`() async throws {
    try await run { mirror, store in
      try mountMemory(mirror.tree + "/d")
      try unmount(mirror.tree + "/d")
      try mirror.remove("d/" + name(0))
      try await mirror.lane.flush()
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(await store.keys.count == 99)
      #expect(report.withheld == [])
    }
  }

  @Test(.promise("WATCH-9", "DEL-4"))
  func `the same filesystem mounted again is compared, and its deletes count again`() async throws {
    try await run(prepare: { tree in
      try fill(tree)
      try unmount(tree + "/m")
      try bind(tree + "/../outside", tree + "/m")
      for number in 0..<40 { try DiskFiles().write("\(tree)/m/\(name(number))", "x") }
    }) { mirror, store in
      try unmount(mirror.tree + "/m")
      try await mirror.lane.flush()
      unlink(mirror.outside + "/" + name(0))
      try DiskFiles().write(mirror.outside + "/new", "new")
      try bind(mirror.outside, mirror.tree + "/m")
      try await mirror.lane.flush()
      #expect(await store.text("t/m/new") == "new")
      try mirror.remove("m/" + name(1))
      try await mirror.lane.flush()
      // The watch saw one go, the comparison at the exit finds the other.
      #expect(await store.keys.count == 100)
      let report = await mirror.finish()
      #expect(await store.keys.count == 99)
      #expect(report.withheld == [])
    }
  }

  @Test func `another filesystem at the same place hides the files of the first`() async throws {
    try await run { mirror, store in
      try unmount(mirror.tree + "/m")
      // It gets the device's number, the inode and, before Linux 6.8, the mount's number of the first.
      try mountMemory(mirror.tree + "/m")
      let report = await mirror.finish()
      #expect(await store.keys.count == 100)
      #expect(withheld(report, naming: "m") == 40)
    }
  }

  @Test(.promise("DEL-4"))
  func `a filesystem on a new directory belongs there: its deletes go, its unmount deletes nothing`()
    async throws
  {
    try await run { mirror, store in
      try #require(mkdir(mirror.tree + "/new", 0o755) == 0)
      try mountMemory(mirror.tree + "/new")
      defer { umount2(mirror.tree + "/new", Int32(MNT_DETACH)) }
      try mirror.write("new/a", "one")
      try mirror.write("new/b", "two")
      try await mirror.lane.flush()
      #expect(await store.text("t/new/a") == "one")
      try mirror.remove("new/a")
      try await mirror.lane.flush()
      #expect(await store.text("t/new/a") == nil)
      try unmount(mirror.tree + "/new")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(await store.text("t/new/b") == "two")
      #expect(report.withheld.map(\.path) == ["new/b"])
    }
  }

  // MARK: Behind followed links

  /// 40 files in `outside/disk`, which is mounted there, and a link to it.
  private func linkToDisk(_ tree: String, mounting: (String) throws -> Void) throws {
    let disk = tree + "/../outside/disk"
    try #require(mkdir(disk, 0o755) == 0)
    try mounting(disk)
    for number in 0..<40 { try DiskFiles().write("\(disk)/\(name(number))", "x") }
    try #require(symlink("../outside/disk", tree + "/link") == 0)
  }

  @Test(.promise("LINK-4"), arguments: [true, false])
  func `the target of a followed link keeps its objects if it is unmounted`(isBound: Bool) async throws {
    try await run(
      symlinks: .follow,
      prepare: { tree in
        try #require(mkdir(tree + "/../outside/source", 0o755) == 0)
        try linkToDisk(tree) { disk in
          if isBound { try bind(tree + "/../outside/source", disk) } else { try mountMemory(disk) }
        }
      }
    ) { mirror, store in
      try mirror.write("here", "one")
      try await mirror.lane.flush()
      try unmount(mirror.outside + "/disk")
      try mirror.remove("here")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(await store.keys.count == 40)
      #expect(report.deleted == 1)
      #expect(withheld(report, naming: "link") == 40)
    }
  }

  @Test(.promise("LINK-4"))
  func `a followed link that is led elsewhere or removed loses the objects of its old target`() async throws {
    try await run(symlinks: .follow, prepare: { try linkToDisk($0, mounting: mountMemory) }) {
      mirror, store in
      try mirror.remove("link")
      try #require(mkdir(mirror.outside + "/other", 0o755) == 0)
      try DiskFiles().write(mirror.outside + "/other/new", "x")
      try #require(symlink("../outside/other", mirror.tree + "/link") == 0)
      try unmount(mirror.outside + "/disk")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/link/new"])
      try mirror.remove("link")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(await store.keys == [])
      #expect(report.withheld == [])
    }
  }

  // MARK: Places that come and go

  @Test func `a renamed directory that contains a mount moves its objects`() async throws {
    try await run { mirror, store in
      try mirror.move("tree/d", "tree/e")
      try #require(mkdir(mirror.tree + "/e/in", 0o755) == 0)
      try mountMemory(mirror.tree + "/e/in")
      defer { umount2(mirror.tree + "/e2/in", Int32(MNT_DETACH)) }
      try mirror.write("e/in/a", "one")
      try await mirror.lane.flush()
      try mirror.move("tree/e", "tree/e2")
      try await mirror.lane.flush()
      try mirror.remove("e2/in/a")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(report.withheld == [])
      #expect(await store.keys.allSatisfy { $0.hasPrefix("t/m/") || $0.hasPrefix("t/e2/f") })
      #expect(await store.keys.count == 100)
    }
  }

  @Test(.promise("WATCH-9"), arguments: [Duration.zero, .milliseconds(20)])
  func `a mount is noticed without a flush`(interval: Duration) async throws {
    try await run(interval: interval) { mirror, store in
      try mountMemory(mirror.tree + "/d")
      try await mirror.wait(forNotice: "d is compared with S3 at this tick: a filesystem was mounted")
      try mirror.write("d/new", "one")
      try await mirror.wait(for: "d/new", toBe: "one", in: store)
      let report = await mirror.finish()
      #expect(withheld(report, naming: "d") == 60)
      #expect(await store.keys.count == 101)
    }
  }
}
