import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// A renamed file's old object goes when the new one is there, and not before.
@Suite struct RenameOrderTests {
  private func run(
    interval: Duration?, _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(interval: interval, watch: .reported))
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  private func failing(_ keys: Set<String>) -> FakeObjectStore.Fault {
    { call, _ in
      guard let key = call.key, keys.contains(key) else { return nil }
      return call.refusal()
    }
  }

  /// The new name backs off for a second; the old one comes back at once.
  @Test(.promise("CHG-4"), arguments: [Duration.milliseconds(20), .zero])
  func `an old object stays while the new name is in back-off`(interval: Duration) async throws {
    try await run(interval: interval) { mirror, store in
      try mirror.write("a", "text")
      try await mirror.wait(for: "a", in: store)
      await store.inject(failing(["t/b"]))
      try mirror.move("tree/a", "tree/b")
      try await mirror.wait { heard in
        heard.compactMap(\.summary).contains { !$0.failures.isEmpty }
      }
      try mirror.write("c", "text")
      try await mirror.wait(for: "c", in: store)
      // A whole pass later the one that published this is over, deletes and all.
      try mirror.write("d", "text")
      try await mirror.wait(for: "d", in: store)
      #expect(await store.keys == ["t/a", "t/c", "t/d"])
      await store.inject(nil)
      try await mirror.settle()
      #expect(await store.keys == ["t/b", "t/c", "t/d"])
    }
  }

  @Test func `what the server copies for a renamed file counts as not sent`() async throws {
    try await run(interval: nil) { mirror, store in
      try mirror.write("a", "text")
      try await mirror.lane.flush()
      #expect(mirror.lane.status.copiedBytes == 0)
      try mirror.move("tree/a", "tree/b")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/b"])
      #expect(mirror.lane.status.publishedBytes == 8)
      #expect(mirror.lane.status.copiedBytes == 4)
    }
  }

  /// The event comes after the pass has missed the file.
  @Test(.promise("CHG-4"))
  func `an old object stays when its file is renamed while a pass is under way`() async throws {
    try await run(interval: nil) { mirror, store in
      for name in ["data", "latest"] { try mirror.write(name, "one") }
      try await mirror.lane.flush()
      for name in ["data", "latest"] { try mirror.write(name, "two") }
      await store.hold { call in
        guard call.operation == PutObject.name, call.key == "t/data" else { return }
        try mirror.move("tree/latest", "tree/kept")
      }
      try await mirror.lane.flush()
      await store.hold(nil)
      #expect(await store.keys == ["t/data", "t/latest"])
      try await mirror.settle()
      #expect(await store.keys == ["t/data", "t/kept"])
      #expect(await store.text("t/kept") == "two")
    }
  }
}
