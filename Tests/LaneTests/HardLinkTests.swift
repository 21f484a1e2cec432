import Glibc
import TestSupport
import Testing

@testable import S3Mirror

/// inotify(7) reports a write only under the name that was used.
@Suite struct HardLinkTests {
  private func run(
    watch: LaneUnderTest.WatchKind = .reported,
    prepare: (String, any ProgramFiles) throws -> Void = { _, _ in },
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: watch), prepare: prepare)
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("WATCH-5"))
  func `a write under one name publishes the names that were there at entry`() async throws {
    try await run { tree, files in
      try files.write(tree + "/a", "")
      try files.link(tree + "/a", to: tree + "/b")
    } _: { mirror, store in
      try mirror.write("a", "new")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "new")
      #expect(await store.text("t/b") == "new")
    }
  }

  @Test(.promise("WATCH-5"))
  func `a write under a link that was made meanwhile publishes the first name`() async throws {
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

  @Test(.promise("WATCH-6"))
  func `a name that is written and removed leaves its content to the others`() async throws {
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

  @Test(.promise("WATCH-6"))
  func `a name that is written and renamed over leaves its content to the others`() async throws {
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
    try await run(watch: .kernel) { mirror, store in
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

  @Test func `a name that now has another file is no longer a name of the first file`() async throws {
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

  // MARK: Writes that no event reports

  /// A descriptor keeps the name that it was opened by. When that name is gone, no event reports its writes (IN_EXCL_UNLINK).
  @Test func `a name that is removed while it is written leaves its content to the others`() async throws {
    try await run(watch: .kernel) { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try await mirror.lane.flush()
      let writer = open(mirror.tree + "/a", O_WRONLY | O_CLOEXEC)
      try mirror.remove("a")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == nil)
      try #require(write(writer, "new", 3) == 3)
      close(writer)
      try await mirror.settle()
      #expect(await store.text("t/b") == "new")
    }
  }

  /// - Parameter isLinked: whether the file that takes the name has another one, so that the name is one of several again.
  @Test(arguments: [false, true])
  func `a name that is renamed over while it is written leaves its content to the others`(isLinked: Bool)
    async throws
  {
    try await run(watch: .kernel) { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try mirror.write("c", "another")
      if isLinked { try mirror.link("c", "d") }
      try await mirror.lane.flush()
      let writer = open(mirror.tree + "/a", O_WRONLY | O_CLOEXEC)
      try mirror.move("tree/c", "tree/a")
      try await mirror.lane.flush()
      try #require(write(writer, "new", 3) == 3)
      close(writer)
      try await mirror.settle()
      #expect(await store.text("t/a") == "another")
      #expect(await store.text("t/b") == "new")
      #expect(await store.text("t/d") == (isLinked ? "another" : nil))
    }
  }

  /// Stores through a mapping need not move a stamp on a RAM disk, where these tests may run.
  @Test(.promise("CHG-9"))
  func `an equal stamp proves nothing after a write was reported`() async throws {
    try await run(watch: .kernel) { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try await mirror.lane.flush()
      await store.forgetCalls()
      close(open(mirror.tree + "/a", O_WRONLY | O_CLOEXEC))
      try await mirror.lane.flush()
      #expect(await store.count(of: "PutObject") == 2)
    }
  }

  @Test func `only the name whose publication failed is tried again`() async throws {
    try await run { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "b")
      try await mirror.lane.flush()
      await store.inject { call, moment in
        moment == .beforeEffect && call.operation == "PutObject" && call.key == "t/b"
          ? call.refusal(status: 403, code: "AccessDenied") : nil
      }
      try mirror.write("a", "new")
      await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      await store.inject(nil)
      await store.forgetCalls()
      try await mirror.lane.flush()
      // What it holds is on S3 by now, under the other name.
      #expect(await store.calls.map(\.operation) == ["CopyObject"])
      #expect(await store.text("t/b") == "new")
    }
  }

  @Test(.promise("PUB-13"))
  func `a marker is published as it was if its file is written under another name during the pass`()
    async throws
  {
    try await run { mirror, store in
      try mirror.write("x", "1")
      try mirror.write("latest", "1")
      try mirror.link("latest", "pointer")
      try await mirror.lane.flush()
      try mirror.write("x", "2")
      try mirror.write("latest", "2")
      await store.hold { call in
        guard call.operation == "PutObject", call.key == "t/x" else { return }
        try mirror.write("data", "3")
        try mirror.write("pointer", "data")
      }
      try await mirror.lane.flush()
      #expect(await store.text("t/latest") == "2")
      await store.hold(nil)
      try await mirror.lane.flush()
      #expect(await store.text("t/data") == "3")
      #expect(await store.text("t/latest") == "data")
    }
  }

  @Test func `hard links count for the delete bound like other files`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.bound = .standard
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try mirror.write("base", "one")
    try await mirror.lane.flush()
    for index in 1...24 { try mirror.link("base", "l\(index)") }
    try await mirror.lane.flush()
    for index in 1...11 { try mirror.remove("l\(index)") }
    try await mirror.lane.flush()
    #expect(await store.keys.count == 14)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  /// No event reports the writes after the snapshot.
  @Test func `a file that is written under a removed name is published again after its snapshot`()
    async throws
  {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .milliseconds(20))
    configuration.openFileGrace = .zero
    configuration.appendNames = ["*"]
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try mirror.write("a", "old")
    try mirror.link("a", "b")
    try await mirror.settle()
    let writer = try mirror.open("a")
    try mirror.remove("a")
    let published = mirror.notices.passes.reduce(0) { $0 + $1.published }
    try await mirror.wait { heard in
      heard.compactMap(\.summary).reduce(0) { $0 + $1.published } > published
    }
    try writer.write("new")
    writer.close()
    try await mirror.settle()
    #expect(await store.text("t/b") == "new")
    await mirror.finish()
    try mirror.removeDirectory()
  }

  /// A mirror that watches its root only, and polls `d`.
  private func runPolling(_ body: (LaneUnderTest, FakeObjectStore) async throws -> Void) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.maxWatches = 1
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      try files.makeDirectory(tree + "/d")
    }
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("WATCH-7"))
  func `a write under a name without a watch publishes the names that have one`() async throws {
    try await runPolling { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "d/b")
      try await mirror.lane.flush()
      for text in ["new", "newer"] {
        try mirror.write("d/b", text)
        try await mirror.lane.flush()
        #expect(await store.text("t/d/b") == text)
        #expect(await store.text("t/a") == text)
      }
    }
  }

  @Test func `a write under a link in a directory without a watch publishes the first name`() async throws {
    try await runPolling { mirror, store in
      try mirror.write("a", "old")
      try await mirror.lane.flush()
      try mirror.link("a", "d/b")
      try mirror.write("d/b", "new")
      try await mirror.lane.flush()
      #expect(await store.text("t/d/b") == "new")
      #expect(await store.text("t/a") == "new")
    }
  }

  @Test(.promise("WATCH-7"))
  func `a name without a watch that is written and removed leaves its content to the others`()
    async throws
  {
    try await runPolling { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "d/b")
      try await mirror.lane.flush()
      try mirror.write("d/b", "new")
      try mirror.remove("d/b")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "new")
    }
  }

  @Test func `a comparison of a directory without a watch sends no unchanged name again`() async throws {
    try await runPolling { mirror, store in
      try mirror.write("a", "old")
      try mirror.link("a", "d/b")
      for _ in 0..<2 { try await mirror.lane.flush() }
      await store.forgetCalls()
      for _ in 0..<2 { try await mirror.lane.flush() }
      #expect(await store.count(of: "PutObject") == 0)
    }
  }
}
