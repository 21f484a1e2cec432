import TestSupport
import Testing

@testable import S3Mirror

/// Paths whose keys S3 would not take (SPEC 3: refused by name, counted, the rest goes on).
@Suite struct RefusedKeyTests {
  /// A path whose key under `t/` has so many bytes.
  private func path(keyBytes: Int) -> String {
    let directories = String(repeating: String(repeating: "d", count: 249) + "/", count: 4)
    return directories + String(repeating: "f", count: keyBytes - "t/".utf8.count - directories.utf8.count)
  }

  @Test func `a key of 1,024 bytes passes, a longer one is refused by name and holds no marker back`()
    async throws
  {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store)
    try await mirror.start()
    let (longest, tooLong) = (path(keyBytes: 1_024), path(keyBytes: 1_025))
    for file in [longest, tooLong, "latest"] { try mirror.write(file, "text") }
    let error = await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
    #expect(error?.failures.map(\.path) == [tooLong])
    #expect(error?.failures.first?.reason == "its key would be 1025 bytes long, over S3's 1,024")
    #expect(await store.keys == ["t/" + longest, "t/latest"])
    // It is named once, and again when it changes.
    try await mirror.lane.flush()
    let report = await mirror.finish()
    #expect(report.failures.map(\.path) == [tooLong])
    try mirror.removeDirectory()
  }

  @Test func `a refused path that is gone is no failure`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store)
    try await mirror.start()
    let tooLong = path(keyBytes: 1_025)
    try mirror.write(tooLong, "text")
    await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
    try mirror.remove(tooLong)
    try await mirror.lane.flush()
    let report = await mirror.finish()
    #expect(report.failures == [])
    #expect(await store.calls.contains { $0.operation == "DeleteObjects" } == false)
    try mirror.removeDirectory()
  }
}
