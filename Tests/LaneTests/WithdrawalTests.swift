import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

/// No commit marker is on S3 while data under it are written over.
@Suite struct WithdrawalTests {
  /// What a reader finds at each change of the bucket.
  private final class Reader: Sendable {
    private let looks = Mutex<[[String]]>([])

    func look(_ keys: [String]) { looks.withLock { $0.append(keys) } }

    /// At which changes a key was there.
    func sightings(of key: String) -> [Bool] { looks.withLock { $0.map { $0.contains(key) } } }
  }

  private func run(
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.singleThreshold = 1_000
    configuration.commitLast = [".metadata", "latest"]
    configuration.delete = false
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try await body(mirror, store)
    #expect(await mirror.finish().failures == [])
    try mirror.removeDirectory()
  }

  private func save(_ mirror: LaneUnderTest, _ text: String, in directory: String) throws {
    for shard in 0..<3 { try mirror.write("\(directory)/__\(shard)_0.distcp", text) }
    try mirror.write("\(directory)/large.distcp", String(repeating: text, count: 2_000))
    try mirror.write("\(directory)/.metadata", "of " + text)
  }

  /// The operations since the last look that change objects, each with its key.
  private func changes(_ store: FakeObjectStore) async -> [String] {
    let changing: Set = ["PutObject", "DeleteObject", "CompleteMultipartUpload", "CopyObject"]
    return await store.calls.filter { changing.contains($0.operation) }.map {
      "\($0.operation) \($0.key?.split(separator: "/").last ?? "")"
    }
  }

  @Test(.promise("UNIT-6"))
  func `a marker is removed before its data are overwritten, and published again after them`() async throws {
    try await run { mirror, store in
      try save(mirror, "a", in: "step")
      try await mirror.settle()
      await store.forgetCalls()
      try save(mirror, "b", in: "step")
      try await mirror.settle()
      let changes = await changes(store)
      #expect(changes.first == "DeleteObject .metadata")
      #expect(changes.last == "PutObject .metadata")
      #expect(changes.count == 6, "\(changes)")
      #expect(await store.text("t/step/.metadata") == "of b")
      // The bytes of the large file are there before the marker goes.
      let operations = await store.calls.map(\.operation)
      let staged = try #require(operations.lastIndex(of: "UploadPart"))
      #expect(staged < (operations.firstIndex(of: "DeleteObject") ?? 0))
    }
  }

  /// What an earlier run has published, and what has changed since then.
  @Test(.promise("UNIT-6"), arguments: ["of a", "of b"])
  func
    `a marker of an earlier run is removed before its data are overwritten, and published again after them`(
      marker: String
    ) async throws
  {
    let store = FakeObjectStore()
    await store.place("t/step/.metadata", Array("of a".utf8))
    await store.place("t/step/weights", Array("a".utf8))
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.commitLast = [".metadata"]
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      try files.write(tree + "/step/.metadata", marker)
      try files.write(tree + "/step/weights", "b")
    }
    try await mirror.start()
    #expect(
      await changes(store) == ["DeleteObject .metadata", "PutObject weights", "PutObject .metadata"])
    #expect(await store.text("t/step/.metadata") == marker)
    #expect(await mirror.finish().failures == [])
    try mirror.removeDirectory()
  }

  @Test(.promise("UNIT-6"))
  func `a marker of another writer stays, even if a listing has shown it`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.commitLast = [".metadata"]
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try mirror.write("step/weights", "1")
    try await mirror.settle()
    await store.place("t/step/.metadata", Array("of another".utf8))
    await mirror.injectOverflow()
    try await mirror.settle()
    try mirror.write("step/weights", "2")
    try await mirror.settle()
    #expect(await store.text("t/step/weights") == "2")
    #expect(await store.text("t/step/.metadata") == "of another")
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("UNIT-6"))
  func `a marker that did not change is published again too`() async throws {
    try await run { mirror, store in
      try save(mirror, "a", in: "step")
      try await mirror.settle()
      await store.forgetCalls()
      try mirror.write("step/__1_0.distcp", "repaired")
      try await mirror.settle()
      #expect(
        await changes(store) == ["DeleteObject .metadata", "PutObject __1_0.distcp", "PutObject .metadata"])
      #expect(await store.text("t/step/.metadata") == "of a")
    }
  }

  @Test(.promise("UNIT-6"))
  func `new files, appended files and files that the tracker does not name remove no marker`() async throws {
    try await run { mirror, store in
      try save(mirror, "a", in: "step-1")
      try mirror.write("latest", "step-1")
      try mirror.write("config.json", "1")
      try mirror.write("step-1/train.log", "1")
      try await mirror.settle()
      await store.forgetCalls()
      try mirror.write("config.json", "2")
      try mirror.write("step-1/train.log", "12")
      try mirror.write("step-1/added", "1")
      try save(mirror, "a", in: "step-2")
      try await mirror.settle()
      #expect(await store.count(of: "DeleteObject") == 0)
      await store.forgetCalls()
      // It names step-1 still.
      try mirror.write("step-2/__0_0.distcp", "repaired")
      try await mirror.settle()
      #expect(
        await changes(store) == ["DeleteObject .metadata", "PutObject __0_0.distcp", "PutObject .metadata"])
      await store.forgetCalls()
      try mirror.write("step-1/__0_0.distcp", "repaired")
      try await mirror.settle()
      #expect(
        await changes(store) == [
          "DeleteObject latest", "DeleteObject .metadata", "PutObject __0_0.distcp", "PutObject .metadata",
          "PutObject latest",
        ])
    }
  }

  @Test(.promise("UNIT-6"))
  func `a removed marker is published again only after its data`() async throws {
    try await run { mirror, store in
      try save(mirror, "a", in: "step")
      try await mirror.settle()
      await store.hold { call in
        if call.operation == "PutObject", call.key?.hasSuffix("__1_0.distcp") == true {
          throw call.refusal(status: 403, code: "AccessDenied")
        }
      }
      try save(mirror, "b", in: "step")
      await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      #expect(await store.text("t/step/.metadata") == nil)
      #expect(await store.text("t/step/__0_0.distcp") == "b")
      await store.hold(nil)
      try await mirror.settle()
      #expect(await store.text("t/step/.metadata") == "of b")
    }
  }

  @Test(.promise("UNIT-6"))
  func `without the permission to delete, everything is still published`() async throws {
    try await run { mirror, store in
      try save(mirror, "a", in: "step")
      try await mirror.settle()
      await store.hold { call in
        if call.operation == "DeleteObject" { throw call.refusal(status: 403, code: "AccessDenied") }
      }
      for text in ["b", "c"] {
        try save(mirror, text, in: "step")
        try await mirror.settle()
        #expect(await store.text("t/step/.metadata") == "of " + text)
      }
      #expect(mirror.notices.heard.count { "\($0)".contains("s3:DeleteObject") } == 1)
    }
  }
}
