import Glibc
import TestSupport
import Testing

@testable import S3Mirror

/// Parts that cannot be watched are compared at each tick, and that is said (SPEC 4, Watching).
@Suite struct PollingTests {
  @Test func `what has no watch is compared at every tick, and the limit to raise is said once`() async throws
  {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .milliseconds(20))
    configuration.maxWatches = 1
    let mirror = try LaneUnderTest(store, configuration) { tree in
      for name in ["d", "e"] { try #require(mkdir(tree + "/" + name, 0o755) == 0) }
    }
    try await mirror.start()
    for (index, text) in ["one", "two", "three"].enumerated() {
      try mirror.write("d/f", text)
      await mirror.notices.wait { heard in heard.compactMap(\.summary).count { $0.published > 0 } > index }
      #expect(await store.text("t/d/f") == text)
    }
    let said = mirror.notices.texts.filter { $0.contains("limit of inotify watches") }
    #expect(said.count == 1)
    #expect(said.first?.contains("at every tick") == true)
    #expect(said.first?.contains("sysctl fs.inotify.max_user_watches=") == true)
    let report = await mirror.finish()
    #expect(report.failures == [])
    try mirror.removeDirectory()
  }

  @Test func `a watch that is free again ends the comparing`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .milliseconds(20))
    configuration.maxWatches = 2
    let mirror = try LaneUnderTest(store, configuration) { tree in
      for name in ["d", "e"] { try #require(mkdir(tree + "/" + name, 0o755) == 0) }
    }
    try await mirror.start()
    await mirror.notices.wait(forNotice: "limit of inotify watches")
    // Whichever has the one watch: the other takes it.
    try mirror.remove("d")
    try mirror.remove("e")
    await mirror.notices.wait(forNotice: "this is over")
    try mirror.write("f/x", "one")
    try await mirror.settle()
    await store.forgetCalls()
    try mirror.write("f/x", "two")
    try await mirror.lane.flush()
    #expect(await store.text("t/f/x") == "two")
    #expect(await store.calls.map(\.operation) == ["PutObject"])
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test func `without an interval, what has no watch does not keep the mirror busy`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .zero)
    configuration.maxWatches = 1
    let mirror = try LaneUnderTest(store, configuration) { tree in
      try #require(mkdir(tree + "/d", 0o755) == 0)
    }
    try await mirror.start()
    for round in 0..<5 {
      try mirror.write("a", "\(round)")
      await mirror.notices.wait { heard in heard.compactMap(\.summary).count { $0.published > 0 } > round }
    }
    // Entry, and the comparison that the watch asked for at entry; the next is due after `pollInterval`.
    #expect(await store.count(of: "ListObjectsV2") <= 3)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test func `a marker that is rewritten where nothing is watched never runs ahead of its data`() async throws
  {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.maxWatches = 1
    let mirror = try LaneUnderTest(store, configuration) { tree in
      try #require(mkdir(tree + "/runs", 0o755) == 0)
    }
    try await mirror.start()
    try mirror.write("runs/one/shard", "1")
    try mirror.write("runs/latest", "one")
    // The next checkpoint comes when the comparison has looked everywhere.
    await store.hold { [mirror] call in
      guard call.operation == "PutObject", call.key == "t/runs/one/shard" else { return }
      try mirror.write("runs/two/shard", "2")
      try mirror.write("runs/latest", "two")
    }
    for _ in 0..<2 {
      try await mirror.lane.flush()
      let latest = await store.text("t/runs/latest")
      let hasData = await store.text("t/runs/two/shard") != nil
      #expect(latest != "two" || hasData)
    }
    try await mirror.settle()
    #expect(await store.text("t/runs/latest") == "two")
    #expect(await store.text("t/runs/two/shard") == "2")
    await mirror.finish()
    try mirror.removeDirectory()
  }
}
