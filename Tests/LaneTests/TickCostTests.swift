import MirrorModel
import TestSupport
import Testing

@testable import S3Mirror

/// A tick's work grows with what changed, not with the tree.
@Suite struct TickCostTests {
  @Test(.promise("CHG-1"))
  func `one dirty file among thousands costs one request`() async throws {
    let count = 5000
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: .reported)) { tree, files in
      for directory in 0..<50 {
        for file in 0..<(count / 50) { try files.write("\(tree)/d\(directory)/f\(file)", "") }
      }
    }
    // As if published long after the files' last change.
    for directory in 0..<50 {
      for file in 0..<(count / 50) {
        await store.place(
          "t/d\(directory)/f\(file)", [], lastModified: FakeClock.system() + 3_600_000_000_000)
      }
    }
    try await mirror.start()
    await store.forgetCalls()
    try mirror.write("d7/f7", "changed")
    try await mirror.lane.flush()
    #expect(await store.calls.map(\.operation) == ["PutObject"])
    await store.forgetCalls()
    try mirror.move("tree/d7/f7", "tree/d8/new")
    try await mirror.lane.flush()
    #expect(await store.calls.map(\.operation) == ["CopyObject", "HeadObject", "DeleteObjects"])
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("DEL-20"))
  func `what never had an object is listed and not asked for one by one`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(watch: .reported))
    try await mirror.start()
    for name in ["a", "z"] { try mirror.write(name, "x") }
    try await mirror.lane.flush()
    await store.forgetCalls()
    for name in ["a", "z"] { try mirror.remove(name) }
    // Of files that this run never published, as after events that were lost.
    mirror.lane.schedule.note((0..<50).map { .deleted(RelativePath("phantom\($0)")) })
    try await mirror.lane.flush()
    #expect(await store.calls.map(\.operation) == ["ListObjectsV2", "DeleteObjects"])
    #expect(await store.keys.isEmpty)
    await mirror.finish()
    try mirror.removeDirectory()
  }
}
