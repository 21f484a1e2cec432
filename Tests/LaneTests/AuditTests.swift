import TestSupport
import Testing

@testable import S3Mirror

/// An audit compares everything, and should find nothing (SPEC 4; a missed event would be a bug).
@Suite struct AuditTests {
  private func mirror(_ store: FakeObjectStore) async throws -> LaneUnderTest {
    var configuration = LaneUnderTest.Configuration()
    configuration.auditInterval = .milliseconds(20)
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    return mirror
  }

  @Test func `an audit of a mirror that missed nothing finds nothing`() async throws {
    let store = FakeObjectStore()
    let mirror = try await mirror(store)
    try mirror.write("a", "one")
    try await mirror.lane.flush()
    try mirror.write("b", "not yet published, and known to be so")
    let before = mirror.notices.passes.count { $0.kind == .audit }
    await mirror.notices.wait { heard in heard.compactMap(\.summary).count { $0.kind == .audit } > before + 1
    }
    #expect(mirror.lane.status.drift == 0)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test func `what an audit finds is counted, said and published`() async throws {
    let store = FakeObjectStore()
    let mirror = try await mirror(store)
    try mirror.write("a", "one")
    try mirror.write("b", "two")
    try await mirror.lane.flush()
    // As if an event had been missed.
    await store.remove("t/a")
    await mirror.notices.wait(forNotice: "an audit found 1 path")
    #expect(mirror.lane.status.drift == 1)
    try await mirror.lane.flush()
    #expect(await store.text("t/a") == "one")
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test func `an object whose delete was missed is drift too`() async throws {
    let store = FakeObjectStore()
    let mirror = try await mirror(store)
    try mirror.write("a", "one")
    try await mirror.lane.flush()
    await store.place("t/gone", [1, 2, 3])
    await mirror.notices.wait(forNotice: "an audit found 1 path")
    try await mirror.lane.flush()
    #expect(await store.keys == ["t/a"])
    await mirror.finish()
    try mirror.removeDirectory()
  }
}
