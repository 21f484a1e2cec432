import Glibc
import LocalTree
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// Parts that cannot be watched are compared at each tick, and that is said.
@Suite struct PollingTests {
  @Test(.promise("WATCH-1"))
  func `a directory without a watch is compared at every tick, and the limit to raise is reported once`()
    async throws
  {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .milliseconds(20))
    configuration.maxWatches = 1
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      for name in ["d", "e"] { try files.makeDirectory(tree + "/" + name) }
    }
    try await mirror.start()
    for (index, text) in ["one", "two", "three"].enumerated() {
      try mirror.write("d/f", text)
      try await mirror.wait { heard in heard.compactMap(\.summary).count { $0.published > 0 } > index }
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

  @Test(.promise("WATCH-1"))
  func `a directory that gets a watch is no longer compared`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .milliseconds(20))
    configuration.maxWatches = 2
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      for name in ["d", "e"] { try files.makeDirectory(tree + "/" + name) }
    }
    try await mirror.start()
    try await mirror.wait(forNotice: "limit of inotify watches")
    // Whichever has the one watch: the other takes it.
    try mirror.remove("d")
    try mirror.remove("e")
    try await mirror.wait(forNotice: "this is over")
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

  @Test func `without an interval, a directory without a watch does not keep the mirror busy`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .zero)
    configuration.maxWatches = 1
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      try files.makeDirectory(tree + "/d")
    }
    try await mirror.start()
    for round in 0..<5 {
      try mirror.write("a", "\(round)")
      try await mirror.wait { heard in heard.compactMap(\.summary).count { $0.published > 0 } > round }
    }
    // Entry, and the comparison that the watch asked for at entry; the next is due after `pollInterval`.
    #expect(await store.count(of: "ListObjectsV2") <= 3)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  /// A mirror without an interval over a watched root and `d`, which is not watched and was compared.
  private func immediate(
    _ store: FakeObjectStore, _ body: (LaneUnderTest) async throws -> Void
  ) async throws {
    var configuration = LaneUnderTest.Configuration(interval: .zero)
    configuration.maxWatches = 1
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      try files.makeDirectory(tree + "/d")
    }
    try await mirror.start()
    // The comparison that the watch asked for at entry.
    try await mirror.wait { heard in heard.compactMap(\.summary).contains { $0.kind == .tick } }
    try await body(mirror)
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("WATCH-1"))
  func `without an interval, a directory without a watch is compared from time to time`() async throws {
    let store = FakeObjectStore()
    try await immediate(store) { mirror in
      for text in ["one", "two"] {
        try mirror.write("d/f", text)
        let published = text == "one" ? 1 : 2
        try await mirror.wait { heard in
          heard.compactMap(\.summary).count { $0.published > 0 } == published
        }
        #expect(await store.text("t/d/f") == text)
      }
    }
  }

  @Test(.promise("WATCH-1"))
  func `without an interval, a marker waits for the comparison of a directory without a watch`() async throws
  {
    let store = FakeObjectStore()
    try await immediate(store) { mirror in
      for text in ["one", "two"] {
        try mirror.write("d/f", text)
        try mirror.write("latest", text)
        try await mirror.wait(for: "latest", toBe: text, in: store)
        #expect(await store.text("t/d/f") == text)
      }
    }
  }

  @Test(.promise("WATCH-1"))
  func `without an interval, a flush publishes a directory without a watch too`() async throws {
    let store = FakeObjectStore()
    try await immediate(store) { mirror in
      for text in ["one", "two"] {
        try mirror.write("d/f", text)
        try await mirror.lane.flush()
        #expect(await store.text("t/d/f") == text)
      }
    }
  }

  @Test func `without an interval, no marker is published before a directory without a watch at the end`()
    async throws
  {
    let store = FakeObjectStore()
    try await immediate(store) { mirror in
      // The tick cannot take the marker before the end does.
      mirror.lane.requestEnd()
      try mirror.write("d/f", "last")
      try mirror.write("latest", "last")
      await store.hold { call in
        guard call.operation == "PutObject", call.key == "t/latest" else { return }
        #expect(await store.text("t/d/f") == "last")
      }
    }
    #expect(await store.text("t/latest") == "last")
  }

  @Test(.promise("WATCH-3"))
  func `a marker that is rewritten in a directory without a watch is never published before its data`()
    async throws
  {
    try await rewriteLatest(after: ["runs/two/shard"])
  }

  /// The second comparison, which is there for the rewritten one, is the first to meet the new checkpoint's own marker.
  @Test(.promise("WATCH-3"))
  func `a marker that is rewritten in a directory without a watch is never published before other markers`()
    async throws
  {
    try await rewriteLatest(after: ["runs/two/shard", "runs/two/DONE"])
  }

  /// Writes a checkpoint while the one before it is published, and expects `latest` to follow the last of its files.
  private func rewriteLatest(after files: [String]) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.maxWatches = 1
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      try files.makeDirectory(tree + "/runs")
    }
    let last = "t/" + (try #require(files.last))
    try await mirror.start()
    try mirror.write("runs/one/shard", "1")
    try mirror.write("runs/latest", "one")
    // The next checkpoint comes when the comparison has looked everywhere.
    await store.hold { [mirror] call in
      guard call.operation == "PutObject", call.key == "t/runs/one/shard" else { return }
      for file in files { try mirror.write(file, "2") }
      try mirror.write("runs/latest", "two")
    }
    for _ in 0..<2 {
      try await mirror.lane.flush()
      let latest = await store.text("t/runs/latest")
      let isThere = await store.text(last) != nil
      #expect(latest != "two" || isThere)
    }
    try await mirror.settle()
    #expect(await store.text("t/runs/latest") == "two")
    #expect(await store.text(last) == "2")
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("CHG-9"))
  func `a file that was found equal by content is not compared by content at every tick`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.maxWatches = 1
    // The ETag of a multipart object does not show its content.
    configuration.singleThreshold = 1
    // The file's stamp is old enough to be trusted.
    configuration.wallClock = { wallClockNanoseconds() + 1_000_000_000 }
    func run(_ body: (LaneUnderTest) async throws -> Void) async throws {
      let mirror = try await LaneUnderTest(store, configuration) { tree, files in
        try files.write(tree + "/d/f", "same")
      }
      try await mirror.start()
      try await body(mirror)
      await mirror.finish()
      try mirror.removeDirectory()
    }
    try await run { _ in }
    await store.forgetCalls()
    try await run { mirror in
      try await mirror.lane.flush()
      #expect(await store.count(of: "HeadObject") > 0)
      await store.forgetCalls()
      for _ in 0..<3 { try await mirror.lane.flush() }
      #expect(await store.count(of: "ListObjectsV2") > 0)
      #expect(await store.count(of: "HeadObject") == 0)
    }
  }

  /// Two writes within one step of the kernel's clock leave one stamp.
  @Test(.promise("WATCH-3"))
  func `a marker whose stamp is too young to show another write is held back`() async throws {
    let directory = try TemporaryDirectory()
    close(creat(directory.path + "/latest", 0o644))
    let root = try TreeRoot(path: FilePath(directory.path))
    let stamp = try #require(try root.look(at: "latest")?.stamp)
    for (age, isHeld) in [(1, true), (1_000_000_000, false)] as [(Int64, Bool)] {
      let markers = PolledMarkers(wallClock: { stamp.changed + age })
      await markers.look(at: ["latest"], in: root)
      #expect(markers.isUnchanged("latest", in: root) == !isHeld)
    }
  }

  /// A store to a mapped page that is dirty already moves no stamp.
  @Test func `a write through a mapping after a snapshot is found in a directory without a watch`()
    async throws
  {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .milliseconds(20))
    configuration.maxWatches = 1
    configuration.openFileGrace = .zero
    configuration.appendNames = ["*"]
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      try files.makeDirectory(tree + "/d")
    }
    try await mirror.start()
    try await withMapping(of: mirror.tree + "/d/f", holding: "first") { memory in
      try await mirror.wait(for: "d/f", toBe: "first", in: store)
      memory.copyBytes(from: "later".utf8)
    }
    try await mirror.lane.flush()
    #expect(await store.text("t/d/f") == "later")
    await mirror.finish()
    try mirror.removeDirectory()
  }

  /// A new file that is mapped for writing, and by no descriptor open.
  private func withMapping(
    of path: String, holding text: String, _ body: (UnsafeMutableRawBufferPointer) async throws -> Void
  ) async throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    try #require(ftruncate(descriptor, text.utf8.count) == 0)
    let start = mmap(nil, text.utf8.count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    close(descriptor)
    try #require(start != MAP_FAILED)
    let memory = UnsafeMutableRawBufferPointer(start: start, count: text.utf8.count)
    defer { munmap(start, text.utf8.count) }
    memory.copyBytes(from: text.utf8)
    try await body(memory)
  }
}
