import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// Names that say something of their files: temporary names and in-progress marks.
@Suite struct NameClassTests {
  private func run(
    delete: Bool = false, _ change: (inout LaneUnderTest.Configuration) -> Void = { _ in },
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.delete = delete
    change(&configuration)
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  // MARK: Temporary names

  @Test(
    .promise("CLS-1"),
    arguments: [
      ("tmp-checkpoint-5/model", "tmp-checkpoint-5", "checkpoint-5"),
      ("7.orbax-checkpoint-tmp-1/d/array", "7.orbax-checkpoint-tmp-1", "7"),
      (".tmpaB3dE6", ".tmpaB3dE6", "model.safetensors"), (".metadata.tmp", ".metadata.tmp", ".metadata"),
      (".model.pt.aB3dE6", ".model.pt.aB3dE6", "model.pt"),
      ("iter_1_local.dirty.pt", "iter_1_local.dirty.pt", "iter_1_local.pt"),
    ])
  func `a file or directory with a temporary name is published when it is renamed`(
    written: String, temporary: String, final: String
  ) async throws {
    try await run { mirror, store in
      try mirror.write(written, "data")
      try await mirror.settle()
      #expect(await store.keys == [])
      #expect(mirror.lane.status.temporaries == [temporary])
      try mirror.move("tree/" + temporary, "tree/" + final)
      try await mirror.settle()
      let key = "t/" + final + written.dropFirst(temporary.count)
      #expect(await store.keys == [key])
      #expect(mirror.lane.status.temporaries == [])
    }
  }

  @Test(
    .promise("CLS-1"),
    arguments: [".model.sha256", "a.tmp", "tmp", "checkpoint-5", ".tmp", "x.orbax-checkpoint-tmp"])
  func `a name that only looks like a temporary one is published`(name: String) async throws {
    try await run { mirror, store in
      try mirror.write(name, "data")
      try await mirror.settle()
      #expect(await store.keys == ["t/" + name])
    }
  }

  @Test(.promise("CLS-1")) func `the entry and the exit neither publish nor delete temporary names`()
    async throws
  {
    let store = FakeObjectStore()
    await store.place("t/tmp-checkpoint-1/model", Array("of another program".utf8))
    var configuration = LaneUnderTest.Configuration()
    configuration.delete = true
    let mirror = try await LaneUnderTest(store, configuration)
    try mirror.write("tmp-checkpoint-2/model", "data")
    try mirror.write("a", "data")
    try await mirror.start()
    #expect(await mirror.finish().failures == [])
    #expect(await store.keys == ["t/a", "t/tmp-checkpoint-1/model"])
    try mirror.removeDirectory()
  }

  // MARK: In-progress marks

  /// NeMo: touch X-unfinished, write X, unlink X-unfinished.
  @Test(.promise("CLS-2"), arguments: [true, false])
  func `a mark is on S3 while its data are published, and is deleted even without delete`(delete: Bool)
    async throws
  {
    try await run(delete: delete) { mirror, store in
      try mirror.write("X-unfinished", "")
      try mirror.write("X/a", "1")
      try await mirror.settle()
      #expect(await store.keys == ["t/X-unfinished", "t/X/a"])
      let puts = await store.calls.filter { $0.operation == "PutObject" }.compactMap(\.key)
      #expect(puts == ["t/X-unfinished", "t/X/a"])
      try mirror.write("X/b", "1")
      try mirror.remove("X-unfinished")
      try await mirror.settle()
      #expect(await store.keys == ["t/X/a", "t/X/b"])
    }
  }

  @Test(.promise("CLS-2")) func `a mark is published before its data are deleted, and deleted after them`()
    async throws
  {
    try await run(delete: true) { mirror, store in
      try mirror.write("X/a", "1")
      try mirror.write("Y", "1")
      try await mirror.settle()
      try mirror.write("X-unfinished", "")
      try mirror.remove("X")
      try await mirror.settle()
      #expect(await store.keys == ["t/X-unfinished", "t/Y"])
      try mirror.remove("X-unfinished")
      try await mirror.settle()
      #expect(await store.keys == ["t/Y"])
    }
  }

  @Test(.promise("CLS-3"), arguments: [true, false])
  func `a mark that came and went between two passes is on S3 while its data appear`(delete: Bool)
    async throws
  {
    try await run(delete: delete) { mirror, store in
      try mirror.write("X-unfinished", "")
      try mirror.write("X/a", "1")
      try mirror.write("Y", "1")
      try mirror.remove("X-unfinished")
      try await mirror.settle()
      #expect(await store.keys == ["t/X/a", "t/Y"])
      let calls = await store.calls.filter { $0.operation != "ListObjectsV2" }
      let mark = try #require(calls.firstIndex { $0.operation == "PutObject" && $0.key == "t/X-unfinished" })
      let data = try #require(calls.firstIndex { $0.key == "t/X/a" })
      let end = try #require(calls.firstIndex { $0.operation.hasPrefix("Delete") })
      #expect(mark < data && data < end)
      #expect(calls.count { $0.operation == "PutObject" } == 3)
      // A mark that announces nothing makes no request.
      await store.forgetCalls()
      try mirror.write("Z-unfinished", "")
      try mirror.remove("Z-unfinished")
      try mirror.write("Y", "2")
      try await mirror.settle()
      #expect(await store.calls.compactMap(\.key) == ["t/Y"])
    }
  }

  @Test(.promise("CLS-3")) func `a mark that came and went stays until all its data are published`()
    async throws
  {
    try await run(delete: true) { mirror, store in
      await store.inject { call, _ in call.key == "t/X/b" ? call.refusal() : nil }
      try mirror.write("X-unfinished", "")
      try mirror.write("X/a", "1")
      try mirror.write("X/b", "1")
      try mirror.remove("X-unfinished")
      await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      #expect(await store.keys == ["t/X-unfinished", "t/X/a"])
      await store.inject(nil)
      try await mirror.settle()
      #expect(await store.keys == ["t/X/a", "t/X/b"])
    }
  }

  /// The pass has X/small in its batch when the mark comes, and reads it after that.
  @Test(.promise("CLS-2")) func `data wait for a mark that appeared after the pass began`()
    async throws
  {
    let release = Latch()
    try await run {
      $0.singleThreshold = 1_000
    } _: { mirror, store in
      // Marks are looked for from the first one on.
      try mirror.write("W-unfinished", "")
      try await mirror.settle()
      let isMarked = Mutex<Bool?>(nil)
      await store.hold { call in
        if call.operation == "UploadPart" { await release.wait() }
        if call.operation == "PutObject", call.key == "t/X/small" {
          let keys = await store.keys
          isMarked.withLock { $0 = keys.contains("t/X-unfinished") }
        }
      }
      try mirror.write("X/large", String(repeating: "1", count: 2_000))
      try mirror.write("X/small", "1")
      async let flushed: Void = mirror.settle()
      try await eventually("the unit is on its way") { await store.count(of: "UploadPart") == 1 }
      try mirror.write("X-unfinished", "")
      try mirror.write("X/small", "2")
      await release.open()
      try await flushed
      #expect(isMarked.withLock { $0 } == true)
      #expect(await store.text("t/X/small") == "2")
    }
  }
}
