import TestSupport
import Testing

@testable import S3Mirror

/// IN_Q_OVERFLOW names no path, so everything is compared.
@Suite struct LostEventsTests {
  @Test(.promise("CHG-8"))
  func `a flush publishes files whose events were lost`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: .reported))
    try await mirror.start()
    try mirror.write("a", "old")
    try await mirror.lane.flush()
    try await mirror.injectOverflow {
      try mirror.write("a", "new")
      try mirror.write("deep/er/b", "unseen")
    }
    try await mirror.lane.flush()
    #expect(await store.text("t/a") == "new")
    #expect(await store.text("t/deep/er/b") == "unseen")
    await mirror.finish()
    try mirror.removeDirectory()
  }
}
