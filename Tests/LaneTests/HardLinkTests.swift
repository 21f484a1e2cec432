import Glibc
import TestSupport
import Testing

@testable import S3Mirror

/// inotify tells of a write under the name that was used only.
@Suite struct HardLinkTests {
  private func run(
    prepare: (String) throws -> Void = { _ in }, _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, prepare: prepare)
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test func `a write under one name publishes the names that were there at entry`() async throws {
    try await run { tree in
      close(creat(tree + "/a", 0o644))
      try #require(Glibc.link(tree + "/a", tree + "/b") == 0)
    } _: { mirror, store in
      try mirror.write("a", "new")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "new")
      #expect(await store.text("t/b") == "new")
    }
  }

  @Test func `a write under a link that was made meanwhile publishes the first name`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "old")
      try await mirror.lane.flush()
      try mirror.link("a", "b")
      try mirror.write("b", "new")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "new")
      #expect(await store.text("t/b") == "new")
    }
  }

  @Test func `a name that is written and removed leaves its content to the others`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try await mirror.lane.flush()
      try mirror.write("a", "new")
      try mirror.remove("a")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == nil)
      #expect(await store.text("t/b") == "new")
    }
  }

  @Test func `a name that is written and renamed over leaves its content to the others`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try mirror.write("c", "another")
      try await mirror.lane.flush()
      try mirror.write("a", "new")
      try mirror.move("tree/c", "tree/a")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "another")
      #expect(await store.text("t/b") == "new")
    }
  }

  @Test func `a name that waits for a close is served by the close of another`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try await mirror.lane.flush()
      let writer = open(mirror.tree + "/a", O_WRONLY | O_CLOEXEC)
      try #require(write(writer, "new", 3) == 3)
      try mirror.move("tree/b", "tree/c")
      try await mirror.lane.flush()
      #expect(await store.text("t/c") == nil)
      close(writer)
      try await mirror.settle()
      #expect(await store.text("t/c") == "new")
      #expect(mirror.lane.status.waitingFiles == 0)
    }
  }

  @Test func `a name that was replaced by another file is no other name any more`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try mirror.link("a", "c")
      try await mirror.lane.flush()
      try mirror.remove("b")
      try mirror.write("b", "its own")
      try await mirror.lane.flush()
      await store.forgetCalls()
      try mirror.write("a", "new")
      try await mirror.lane.flush()
      #expect(await store.text("t/b") == "its own")
      #expect(await store.text("t/c") == "new")
      #expect(await store.count(of: "PutObject") == 2)
    }
  }
}
