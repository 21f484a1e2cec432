import Glibc
import TestSupport
import Testing

@testable import S3Mirror

/// Paths whose keys S3 would not take: each is refused by name, and the rest goes on.
@Suite struct RefusedKeyTests {
  /// A path whose key under `t/` has so many bytes.
  private func path(keyBytes: Int) -> String {
    let directories = String(repeating: String(repeating: "d", count: 249) + "/", count: 4)
    return directories + String(repeating: "f", count: keyBytes - "t/".utf8.count - directories.utf8.count)
  }

  @Test(.promise("PUB-11"))
  func `a key of 1,024 bytes is published, and a longer one is reported and holds markers back`()
    async throws
  {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: .reported))
    try await mirror.start()
    let (longest, tooLong) = (path(keyBytes: 1_024), path(keyBytes: 1_025))
    for file in [longest, tooLong, "latest", "other/latest"] { try mirror.write(file, "text") }
    let error = await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
    #expect(error?.failures.map(\.path) == [tooLong])
    #expect(error?.failures.first?.reason == "its key would be 1025 bytes long, over S3's 1,024")
    #expect(await store.keys == ["t/" + longest, "t/other/latest"])
    // A flush stays a fence: what is not there is named each time.
    await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
    #expect(mirror.lane.status.failures.map(\.path) == [tooLong])
    let report = await mirror.finish()
    #expect(report.failures.map(\.path) == [tooLong, "latest"])
    try mirror.removeDirectory()
  }

  /// Latin-1, as programs wrote names before UTF-8: `caf\xE9`.
  private func makeUndecodable(in directory: String) throws {
    let name: [CChar] =
      Array((directory + "/caf").utf8CString.dropLast()) + [CChar(bitPattern: 0xE9), 0]
    let descriptor = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    try #require(descriptor >= 0)
    close(descriptor)
  }

  @Test(.promise("PUB-11"))
  func `a name that is not UTF-8 fails flushes and holds markers back until it is gone`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store)
    try await mirror.start()
    try mirror.write("data", "text")
    try makeUndecodable(in: mirror.tree)
    try mirror.write("latest", "data")
    for _ in 0..<2 {
      let error = await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      #expect(error?.failures.map(\.path) == ["caf\\xe9"])
      #expect(error?.failures.first?.reason == "its name is not UTF-8, so it cannot be a key")
    }
    #expect(await store.keys == ["t/data"])
    #expect(mirror.lane.status.failures.map(\.path) == ["caf\\xe9"])
    // It is reported once, however often a flush fails for it.
    #expect(mirror.notices.failedPaths == ["caf\\xe9"])
    let old: [CChar] = Array((mirror.tree + "/caf").utf8CString.dropLast()) + [CChar(bitPattern: 0xE9), 0]
    try #require(rename(old, mirror.tree + "/cafe") == 0)
    try await mirror.settle()
    #expect(await store.keys == ["t/cafe", "t/data", "t/latest"])
    #expect(mirror.lane.status.failures == [])
    let report = await mirror.finish()
    #expect(report.failures == [])
    try mirror.removeDirectory()
  }

  @Test func `a name that is not UTF-8 and was there at entry holds markers back too`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store) { tree, files in
      try makeUndecodable(in: tree)
      try files.makeDirectory(tree + "/d")
    }
    try mirror.write("latest", "data")
    try mirror.write("d/latest", "data")
    try await mirror.start()
    #expect(await store.keys == ["t/d/latest"])
    await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
    let report = await mirror.finish()
    #expect(Set(report.failures.map(\.path)) == ["caf\\xe9", "latest"])
    try mirror.removeDirectory()
  }

  @Test(.promise("PUB-11"))
  func `an excluded name that is not UTF-8 is ignored`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.exclude = ["caf*"]
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try makeUndecodable(in: mirror.tree)
    try mirror.write("latest", "data")
    try await mirror.lane.flush()
    #expect(await store.keys == ["t/latest"])
    let report = await mirror.finish()
    #expect(report.failures == [])
    try mirror.removeDirectory()
  }

  @Test func `a refused path that is gone is no failure`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: .reported))
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
