import Glibc
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Names that change what they are, and the order of what goes.
@Suite struct ReplacementTests {
  private func run(
    watch: LaneUnderTest.WatchKind = .reported, _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: watch))
    try await mirror.start()
    try await body(mirror, store)
    try mirror.removeDirectory()
  }

  @Test func `a file may become a directory and a file again`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "file")
      try await mirror.lane.flush()
      try mirror.remove("a")
      try mirror.write("a/b", "below")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/a/b"])
      try mirror.remove("a")
      try mirror.write("a", "file again")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/a"])
      await mirror.finish()
    }
  }

  @Test func `a file is deleted if a directory took its name and was moved away`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "file")
      try await mirror.lane.flush()
      try mirror.remove("a")
      try mirror.write("a/b", "below")
      try mirror.move("tree/a", "outside/a")
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      await mirror.finish()
    }
  }

  @Test func `the exit deletes the object of a file that is a directory now`() async throws {
    try await run { mirror, store in
      try mirror.write("a/b", "below")
      try await mirror.lane.flush()
      await store.place("t/a", [1], metadata: mirror.mark)
      await mirror.finish()
      #expect(await store.keys == ["t/a/b"])
    }
  }

  @Test func `a file that exchanged its name with an open one does not wait for a close`() async throws {
    try await run(watch: .kernel) { mirror, store in
      try mirror.write("a", "closed")
      let writer = open(mirror.tree + "/b", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
      try #require(write(writer, "open", 4) == 4)
      let hands = TreeWriter(
        root: mirror.tree, outside: mirror.outside,
        versions: try VersionCounter(sharedAt: mirror.directory + "/versions"))
      hands.perform(.exchange("a", with: "b"))
      try await mirror.lane.flush()
      #expect(await store.text("t/b") == "closed")
      close(writer)
      try await mirror.settle()
      #expect(await store.text("t/a") == "open")
      await mirror.finish()
    }
  }

  @Test func `a file that is replaced by a symbolic link does not count as deleted`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "file")
      try await mirror.lane.flush()
      try mirror.remove("a")
      try mirror.symlink("a", to: "nowhere")
      try await mirror.lane.flush()
      let report = await mirror.finish()
      #expect(await store.keys == ["t/a"])
      #expect(report.skipped == 1)
      #expect(report.failures == [])
    }
  }

  @Test(.promise("LINK-1"))
  func `a link that is left out is reported once by name`() async throws {
    try await run(watch: .kernel) { mirror, store in
      try #require(symlink("nowhere", mirror.tree + "/link") == 0)
      try await mirror.lane.flush()
      try await mirror.wait(forNotice: "left out: link: symbolic links are not followed")
      try #require(mkfifo(mirror.tree + "/pipe", 0o600) == 0)
      try #require(symlink("link", mirror.tree + "/other") == 0)
      try mirror.write("file", "x")
      try await mirror.lane.flush()
      try await mirror.wait(forNotice: "left out: other: ")
      try await mirror.wait(forNotice: "left out: pipe: sockets, pipes and devices")
      // Those that were met in a pass are counted in its line.
      #expect(mirror.notices.passes.contains { $0.skipped == 2 && $0.description.contains("2 skipped") })
      #expect(await mirror.finish().skipped == 3)
      #expect(mirror.notices.texts.count { $0.contains("left out: ") } == 3)
      #expect(await store.keys == ["t/file"])
    }
  }

  @Test func `a checkpoint's marker is deleted before its data`() async throws {
    try await run { mirror, store in
      try mirror.write("c/data", "data")
      try mirror.write("c/DONE", "data")
      try await mirror.lane.flush()
      await store.inject { call, moment in
        guard call.operation == "DeleteObjects", moment == .beforeEffect else { return nil }
        return call.refusal()
      }
      try mirror.remove("c")
      await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      // The first request was the marker's, and its failure kept the data.
      #expect(await store.count(of: "DeleteObjects") == 1)
      #expect(await store.keys == ["t/c/DONE", "t/c/data"])
      await store.inject(nil)
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      await mirror.finish()
    }
  }

  @Test func `the data of an old marker stay while the new marker cannot be published`() async throws {
    try await run(watch: .kernel) { mirror, store in
      try mirror.write("one/data", "1")
      try mirror.write("latest", "one")
      try await mirror.lane.flush()
      try mirror.write("two/data", "2")
      try mirror.write("latest", "two")
      // Somebody has it open for writing, so it cannot go now.
      let writer = open(mirror.tree + "/latest", O_RDWR | O_CLOEXEC)
      try #require(writer >= 0)
      try mirror.remove("one")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/latest", "t/one/data", "t/two/data"])
      #expect(await store.text("t/latest") == "one")
      close(writer)
      try await mirror.settle()
      #expect(await store.keys == ["t/latest", "t/two/data"])
      #expect(await store.text("t/latest") == "two")
      await mirror.finish()
    }
  }
}
