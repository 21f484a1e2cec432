import Foundation
import Glibc
import LocalTree
import TestSupport
import Testing

@testable import S3Mirror

/// A directory that was moved away, a symbolic link to it in its place: `mv ck /other && ln -s /other/ck ck`.
@Suite struct DirectoryLinkTests {
  private func run(
    symlinks: SymlinkPolicy, interval: Duration? = nil, watch: LaneUnderTest.WatchKind = .reported,
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval, watch: watch)
    configuration.symlinks = symlinks
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try mirror.write("ck/a", "one")
    try mirror.write("ck/deep/b", "two")
    try mirror.write("gone", "x")
    try mirror.write("latest", "1")
    try await mirror.lane.flush()
    try await body(mirror, store)
    try mirror.removeDirectory()
  }

  /// In one tick, while files in the directory wait to be published.
  private func relocate(_ mirror: LaneUnderTest, to place: String = "outside/ck") throws {
    try mirror.write("ck/c", "three")
    try mirror.write("ck/deep/b", "four")
    try mirror.move("tree/ck", place)
    try mirror.symlink("ck", to: mirror.directory + "/" + place)
    try mirror.write("latest", "2")
    try mirror.remove("gone")
  }

  private static let before = ["t/ck/a", "t/ck/deep/b", "t/latest"]

  @Test(.promise("LINK-5"))
  func `a directory that becomes a link is skipped, and holds neither markers nor deletes`()
    async throws
  {
    try await run(symlinks: .skip) { mirror, store in
      try relocate(mirror)
      try await mirror.lane.flush()
      #expect(await store.text("t/latest") == "2")
      #expect(await store.keys == Self.before)
      #expect(mirror.lane.status.waitingFiles == 0)
      for text in ["3", "4"] {
        try mirror.write("latest", text)
        try await mirror.lane.flush()
      }
      #expect(
        mirror.notices.texts.count { $0.contains("left out: ck: symbolic links are not followed") } == 1)
      let report = await mirror.finish()
      #expect(await store.keys == Self.before)
      #expect(await store.text("t/latest") == "4")
      #expect(report.failures == [])
      #expect(report.withheld == [])
    }
  }

  @Test func `a directory that was renamed within the tree and replaced by a link holds nothing either`()
    async throws
  {
    try await run(symlinks: .skip) { mirror, store in
      try relocate(mirror, to: "tree/moved")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(
        await store.keys == ["t/ck/a", "t/ck/deep/b", "t/latest", "t/moved/a", "t/moved/c", "t/moved/deep/b"])
      #expect(await store.text("t/moved/deep/b") == "four")
      #expect(report.failures == [])
      #expect(report.withheld == [])
    }
  }

  @Test(arguments: [Duration.zero, .milliseconds(20)])
  func `ticks publish the marker beside a directory that became a link`(interval: Duration) async throws {
    try await run(symlinks: .skip, interval: interval) { mirror, store in
      try relocate(mirror)
      try await mirror.wait(for: "latest", toBe: "2", in: store)
      let report = await mirror.finish()
      #expect(await store.keys == Self.before)
      #expect(report.failures == [])
    }
  }

  @Test func `an open file behind the link holds no marker back`() async throws {
    try await run(symlinks: .skip, watch: .kernel) { mirror, store in
      let writer = open(mirror.tree + "/ck/open", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
      try #require(writer >= 0)
      defer { close(writer) }
      try #require(write(writer, "x", 1) == 1)
      try relocate(mirror)
      try await mirror.lane.flush()
      #expect(await store.text("t/latest") == "2")
      let report = await mirror.finish()
      #expect(report.failures == [])
    }
  }

  @Test func `a directory that waits to be compared may become a link`() async throws {
    try await run(symlinks: .skip) { mirror, store in
      let lane = mirror.lane
      try relocate(mirror)
      lane.schedule.note([.rescan("ck", .unreadable(13)), .rescan("ck/deep", .unreadable(13))])
      try await lane.flush()
      #expect(await store.text("t/latest") == "2")
      let report = await mirror.finish()
      #expect(report.failures == [])
      #expect(await store.keys == Self.before)
    }
  }

  @Test func `a directory that becomes a followed link is published through the link`() async throws {
    try await run(symlinks: .follow) { mirror, store in
      try relocate(mirror)
      try await mirror.lane.flush()
      #expect(await store.text("t/ck/c") == "three")
      #expect(await store.text("t/ck/deep/b") == "four")
      #expect(await store.text("t/latest") == "2")
      #expect(await store.keys == ["t/ck/a", "t/ck/c", "t/ck/deep/b", "t/latest"])
      let report = await mirror.finish()
      #expect(await store.keys == ["t/ck/a", "t/ck/c", "t/ck/deep/b", "t/latest"])
      #expect(report.failures == [])
    }
  }

  @Test func `files of a directory that was a link for a while are published and deleted again`() async throws
  {
    try await run(symlinks: .skip) { mirror, store in
      try relocate(mirror)
      try await mirror.lane.flush()
      try mirror.remove("ck")
      try mirror.move("outside/ck", "tree/ck")
      try await mirror.lane.flush()
      #expect(await store.text("t/ck/c") == "three")
      try mirror.remove("ck/a")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/ck/c", "t/ck/deep/b", "t/latest"])
      await mirror.finish()
    }
  }
}
