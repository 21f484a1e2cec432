import TestSupport
import Testing

@testable import S3Mirror

/// An audit compares everything, and should find nothing: a missed event would be a bug.
@Suite struct AuditTests {
  private func mirror(_ store: FakeObjectStore) async throws -> LaneUnderTest {
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.auditInterval = .seconds(3600)
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
    try await mirror.wait { heard in heard.compactMap(\.summary).count { $0.kind == .audit } > before + 1
    }
    #expect(mirror.lane.status.drift == 0)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("WATCH-13"))
  func `a difference that an audit finds is counted, reported and published`() async throws {
    let store = FakeObjectStore()
    let mirror = try await mirror(store)
    try mirror.write("a", "one")
    try mirror.write("b", "two")
    try await mirror.lane.flush()
    // As if an event had been missed.
    await store.remove("t/a")
    // The file did not change, so it was another writer, and no fault to be reported.
    try await mirror.wait(
      forNotice: "an audit found 1 path that differ from S3 though nothing changed here (a)")
    #expect(mirror.lane.status.drift == 1)
    try await mirror.lane.flush()
    #expect(await store.text("t/a") == "one")
    #expect(await mirror.finish().drift == 1)
    try mirror.removeDirectory()
  }

  @Test func `a new file that is renamed during an audit is no drift`() async throws {
    let store = FakeObjectStore()
    let mirror = try await mirror(store)
    try mirror.write("a", "one")
    try await mirror.lane.flush()
    try mirror.write("b.tmp", "two")
    // The audit asks for it when it has seen the tree.
    await store.hold { [unowned mirror] call in
      guard call.operation == "HeadObject", mirror.files.exists(mirror.tree + "/b.tmp") else { return }
      try mirror.move("tree/b.tmp", "tree/b")
    }
    await store.place("t/a", Array("ONE".utf8))
    try await mirror.wait(forNotice: "an audit found")
    #expect(mirror.lane.status.drift == 1)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test func `another name of a dirty file is no drift, even if the dirty name was removed`() async throws {
    for isRemoved in [false, true] {
      let store = FakeObjectStore()
      let mirror = try await mirror(store)
      try mirror.write("a", "one")
      try mirror.link("a", "b")
      try mirror.write("c", "1")
      try await mirror.lane.flush()
      try mirror.write("a", "not yet published")
      if isRemoved { try mirror.remove("a") }
      await store.remove("t/c")
      try await mirror.wait(forNotice: "an audit found")
      #expect(mirror.lane.status.drift == 1, "\(isRemoved)")
      await mirror.finish()
      #expect(await store.text("t/b") == "not yet published")
      try mirror.removeDirectory()
    }
  }

  @Test func `a path that can never be published is no drift`() async throws {
    let store = FakeObjectStore()
    let mirror = try await mirror(store)
    try mirror.write("a", "one")
    try mirror.write(
      Array(repeating: String(repeating: "x", count: 250), count: 5).joined(separator: "/"), "1")
    await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
    let before = mirror.notices.passes.count { $0.kind == .audit }
    try await mirror.wait { heard in heard.compactMap(\.summary).count { $0.kind == .audit } > before + 1
    }
    #expect(await mirror.finish().drift == 0)
    try mirror.removeDirectory()
  }

  /// - Parameter lead: of the mirror's clock before that of the files' stamps, in nanoseconds.
  private func driftAtExit(lead: Int64, of change: (LaneUnderTest, FakeObjectStore) async throws -> Void)
    async throws -> MirrorReport.Upload
  {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.wallClock = { wallClockNanoseconds() + lead }
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try mirror.write("a", "one")
    try mirror.write("b/c", "two")
    try await mirror.lane.flush()
    try await change(mirror, store)
    let report = await mirror.finish()
    #expect(await store.keys == ["t/a", "t/b/c"])
    try mirror.removeDirectory()
    return report
  }

  @Test(.promise("WATCH-13"))
  func `a difference that only the exit finds is drift`() async throws {
    let report = try await driftAtExit(lead: 1_000_000_000) { mirror, store in
      await store.remove("t/a")
      await store.place("t/b/gone", [1, 2, 3], metadata: mirror.mark)
      await store.place("t/gone/c", [1, 2, 3], metadata: mirror.mark)
    }
    #expect(report.drift == 3)
    #expect(report.failures == [])
  }

  @Test(.promise("WATCH-13"))
  func `a change shortly before the watch ends is no drift`() async throws {
    let report = try await driftAtExit(lead: -3_600_000_000_000) { mirror, store in
      await store.remove("t/a")
      await store.place("t/b/gone", [1, 2, 3], metadata: mirror.mark)
    }
    #expect(report.drift == 0)
  }

  @Test func `a change that an event reported is no drift at the exit`() async throws {
    let report = try await driftAtExit(lead: 1_000_000_000) { mirror, _ in
      try mirror.write("a", "another one")
      try mirror.write("d", "gone soon")
      try mirror.remove("d")
    }
    #expect(report.drift == 0)
    #expect(report.published == 3)
  }

  @Test func `an object whose delete no event reported is drift`() async throws {
    let store = FakeObjectStore()
    let mirror = try await mirror(store)
    try mirror.write("a", "one")
    try await mirror.lane.flush()
    await store.place("t/gone", [1, 2, 3], metadata: mirror.mark)
    try await mirror.wait(forNotice: "an audit found 1 path")
    try await mirror.lane.flush()
    #expect(await store.keys == ["t/a"])
    await mirror.finish()
    try mirror.removeDirectory()
  }
}
