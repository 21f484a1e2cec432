import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3Mirror

/// A root that is gone is never taken for "everything was deleted".
@Suite struct LostRootTests {
  private func run(
    interval: Duration? = nil, _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(interval: interval))
    try await mirror.start()
    try mirror.write("a", "one")
    try mirror.write("d/b", "two")
    try await mirror.lane.flush()
    try await body(mirror, store)
    try mirror.removeDirectory()
  }

  @Test(.promise("WATCH-4"))
  func `a root that was moved away is reported once, and its return too`() async throws {
    try await run { mirror, store in
      try mirror.move("tree", "elsewhere")
      for _ in 0..<3 { await #expect(throws: MirrorError.self) { try await mirror.lane.flush() } }
      #expect(mirror.notices.texts.count { $0.contains("was deleted, moved away or unmounted") } == 1)
      #expect(await store.keys == ["t/a", "t/d/b"])

      try mirror.move("elsewhere", "tree")
      try mirror.write("c", "three")
      try await mirror.lane.flush()
      #expect(mirror.notices.texts.count { $0.contains("is back, and") } == 1)
      #expect(await store.text("t/c") == "three")

      // It is the same directory, so what is deleted in it is deleted on S3, and the new watch sees it.
      try mirror.remove("a")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/c", "t/d/b"])
      await mirror.finish()
    }
  }

  @Test func `ticks find a returned root`() async throws {
    try await run(interval: .milliseconds(20)) { mirror, store in
      try mirror.move("tree", "elsewhere")
      try await mirror.wait(forNotice: "was deleted, moved away or unmounted")
      try mirror.move("elsewhere", "tree")
      try await mirror.wait(forNotice: "is back")
      try mirror.write("c", "three")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/a", "t/c", "t/d/b"])
      await mirror.finish()
    }
  }

  @Test(.promise("WATCH-4"))
  func `a root that was deleted and made anew is published, and deletes nothing in this run`()
    async throws
  {
    try await run { mirror, store in
      try mirror.files.removeTree(mirror.tree)
      await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      try mirror.write("c", "three")
      try await mirror.lane.flush()
      #expect(mirror.notices.texts.contains { $0.contains("another directory") })
      try mirror.remove("c")
      try mirror.write("e", "four")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(await store.keys == ["t/a", "t/c", "t/d/b", "t/e"])
      #expect(report.withheld.map(\.path) == ["a", "c", "d/b"])
      #expect(report.failures == [])
    }
  }

  @Test func `a root that another directory has replaced is noticed at the next tick`() async throws {
    try await run(interval: .milliseconds(20)) { mirror, store in
      try mirror.move("tree", "elsewhere")
      try mirror.move("outside", "tree")
      try mirror.write("c", "three")
      try await mirror.wait(forNotice: "another directory")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(await store.keys == ["t/a", "t/c", "t/d/b"])
      #expect(report.withheld.map(\.path) == ["a", "d/b"])
    }
  }

  @Test(.promise("WATCH-4"))
  func `a root that is gone at the exit is a failure, and deletes nothing`() async throws {
    try await run { mirror, store in
      try mirror.move("tree", "elsewhere")
      let report = await mirror.finish()
      #expect(report.failures.count == 1)
      #expect(await store.keys == ["t/a", "t/d/b"])
    }
  }

  private static let canMount: Bool = {
    let place = FileManager.default.temporaryDirectory.path + "/s3mirror-mount-" + UUID().uuidString
    guard mkdir(place, 0o700) == 0 else { return false }
    defer { rmdir(place) }
    guard mount("none", place, "tmpfs", 0, nil) == 0 else { return false }
    return umount2(place, Int32(MNT_DETACH)) == 0
  }()

  @Test(.enabled(if: canMount)) func `an unmounted root is not an empty one`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(interval: .milliseconds(20))) { tree, _ in
      try #require(mount("none", tree, "tmpfs", 0, nil) == 0)
    }
    try await mirror.start()
    try mirror.write("a", "one")
    try await mirror.lane.flush()
    try #require(umount2(mirror.tree, Int32(MNT_DETACH)) == 0)
    try await mirror.wait(forNotice: "another directory")
    let report = await mirror.finish()
    #expect(await store.keys == ["t/a"])
    #expect(report.withheld.map(\.path) == ["a"])
    try mirror.removeDirectory()
  }
}
