import S3Client
import TestSupport
import Testing
import TransferLog

@testable import S3Mirror

/// What the transfer log holds of a path that fails.
@Suite struct FailureRecordTests {
  @Test(.promise("SAY-2"))
  func `a path that fails many times has one record for each outage`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: .reported))
    try await mirror.start()
    for text in ["first", "second"] {
      await store.inject { call, _ in call.key == "t/a" ? call.refusal() : nil }
      try mirror.write("a", text)
      for _ in 0..<3 { await #expect(throws: MirrorError.self) { try await mirror.lane.flush() } }
      await store.inject(nil)
      try await mirror.settle()
    }
    await mirror.finish()
    let outcomes = try mirror.records().filter { $0.path == "a" }.map(\.outcome)
    #expect(outcomes == [.failed, .done, .failed, .done])
    try mirror.removeDirectory()
  }
}
