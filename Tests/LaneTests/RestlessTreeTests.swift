import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

/// Files that are replaced faster than they are sent: older versions go, later ones follow.
@Suite struct RestlessTreeTests {
  /// Two parts.
  private static func text(_ seed: Int) -> String {
    String(repeating: "\(seed)", count: 6 << 20)
  }

  private func run(
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.singleThreshold = UploadPlan.Limit.smallestPart
    configuration.partBytes = UploadPlan.Limit.smallestPart
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try await body(mirror, store)
    try mirror.removeDirectory()
  }

  /// Lets something happen when the first part of a key is on its way.
  private func duringFirstPart(
    of key: String, _ store: FakeObjectStore, _ act: @escaping @Sendable () throws -> Void
  ) async {
    let isFirst = Mutex(true)
    await store.hold { call in
      guard call.operation == "UploadPart", call.key == key else { return }
      let isNow = isFirst.withLock { isFirst in
        defer { isFirst = false }
        return isFirst
      }
      if isNow { try act() }
    }
  }

  @Test(.promise("PUB-14"))
  func `a file that is replaced while it is sent is published, and the later version follows`() async throws {
    try await run { mirror, store in
      await duringFirstPart(of: "t/a", store) { [unowned mirror] in
        try mirror.writeOutside("a", "later")
        try mirror.move("outside/a", "tree/a")
      }
      try mirror.write("a", Self.text(1))
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == Self.text(1))
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "later")
      #expect(await mirror.finish().failures == [])
    }
  }

  @Test func `a renamed file is not copied from a version that was replaced`() async throws {
    try await run { mirror, store in
      await duringFirstPart(of: "t/a", store) { [unowned mirror] in
        try mirror.writeOutside("a", Self.text(2))
        try mirror.move("outside/a", "tree/a")
      }
      try mirror.write("a", Self.text(1))
      try await mirror.lane.flush()
      try mirror.move("tree/a", "tree/b")
      try await mirror.settle()
      #expect(await store.keys == ["t/b"])
      #expect(await store.text("t/b") == Self.text(2))
      await mirror.finish()
    }
  }

  @Test(.promise("PUB-12"))
  func `a marker that is rewritten while it is sent is published if no data changed`() async throws {
    try await run { mirror, store in
      await duringFirstPart(of: "t/latest", store) { [unowned mirror] in
        try mirror.writeOutside("latest", "later")
        try mirror.move("outside/latest", "tree/latest")
      }
      try mirror.write("data", "1")
      try mirror.write("latest", Self.text(1))
      try await mirror.lane.flush()
      #expect(await store.text("t/latest") == Self.text(1))
      try await mirror.settle()
      #expect(await store.text("t/latest") == "later")
      await mirror.finish()
    }
  }

  @Test(.promise("PUB-12"))
  func `a marker that is rewritten with its data while it is sent waits for them`() async throws {
    try await run { mirror, store in
      await duringFirstPart(of: "t/latest", store) { [unowned mirror] in
        try mirror.write("step-2/data", "2")
        try mirror.writeOutside("latest", "step-2")
        try mirror.move("outside/latest", "tree/latest")
      }
      try mirror.write("data", "1")
      try mirror.write("latest", Self.text(1))
      await #expect(throws: Never.self) { try await mirror.lane.flush() }
      #expect(await store.keys == ["t/data"])
      try await mirror.settle()
      #expect(await store.text("t/latest") == "step-2")
      await mirror.finish()
    }
  }

  @Test func `a file that is replaced during the drain is published in its later version`() async throws {
    try await run { mirror, store in
      await duringFirstPart(of: "t/a", store) { [unowned mirror] in
        try mirror.writeOutside("a", "later")
        try mirror.move("outside/a", "tree/a")
      }
      try mirror.write("a", Self.text(1))
      #expect(await mirror.finish().failures == [])
      #expect(await store.text("t/a") == "later")
    }
  }

  @Test(.promise("PUB-13"))
  func `many markers of a pass do not keep as many files open`() async throws {
    try await run { mirror, store in
      let markers = (0..<200).map { "run-\($0)/latest" }
      for number in markers.indices { try mirror.write("run-\(number)/shard", "1") }
      for marker in markers { try mirror.write(marker, "step-1") }
      try await mirror.settle()
      let held = Mutex(0)
      await store.hold { [unowned mirror] call in
        guard call.key == "t/run-0/shard" else { return }
        let memory = try #require(mirror.memory)
        held.withLock { $0 = memory.openPaths.count { $0.hasSuffix("/latest") } }
      }
      for number in markers.indices { try mirror.write("run-\(number)/shard", "2") }
      for marker in markers { try mirror.write(marker, "step-2") }
      try await mirror.settle()
      #expect((1...80).contains(held.withLock(\.self)))
      for marker in markers { #expect(await store.text("t/" + marker) == "step-2") }
      await mirror.finish()
    }
  }
}
