import FileWatch
import Foundation
import Glibc
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// The end of an upload with failures: what the drain left is tried once more, and reported if it fails again.
@Suite struct ExitTests {
  /// - Parameter settle: long where a writer must not seem to pause because the machine is busy.
  private func run(
    _ comparison: ComparePolicy = .standard, settle: Duration = .milliseconds(20),
    watch: LaneUnderTest.WatchKind = .reported, _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: watch)
    configuration.comparison = Comparison(policy: comparison)
    configuration.settle = settle
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try await body(mirror, store)
    try mirror.removeDirectory()
  }

  /// A checkpoint is on S3 with the marker that names it; here the next one has taken its place.
  private func replaceCheckpoint(_ mirror: LaneUnderTest) async throws {
    try mirror.write("ckpt-1/data", "1")
    try mirror.write("latest", "ckpt-1")
    try await mirror.lane.flush()
    try mirror.write("ckpt-2/data", "2")
    try mirror.write("latest", "ckpt-2")
    try mirror.remove("ckpt-1")
  }

  // MARK: Tried once more

  @Test(.promise("END-1"), arguments: ["t/latest", "t/ckpt-2/data"])
  func `a file that failed once in the drain is published at the end, in commit order`(key: String)
    async throws
  {
    try await run { mirror, store in
      try await replaceCheckpoint(mirror)
      await store.forgetCalls()
      await store.inject(Faults.first(1, of: key))
      let report = await mirror.finish()
      #expect(report.failures == [])
      #expect(report.withheldDeletes == 0)
      #expect(await store.keys == ["t/ckpt-2/data", "t/latest"])
      #expect(await store.text("t/latest") == "ckpt-2")
      let order = await store.calls.compactMap { call in
        switch call.operation {
        case "PutObject": call.key
        case "DeleteObjects": call.operation
        default: nil
        }
      }
      #expect(Array(order.suffix(2)) == ["t/latest", "DeleteObjects"])
    }
  }

  @Test func `a file that is rewritten during the drain is published at the end`() async throws {
    try await run { mirror, store in
      try await replaceCheckpoint(mirror)
      await store.hold(
        Gates.once(at: "t/ckpt-2/data") {
          try mirror.write("ckpt-3/data", "3")
          try mirror.write("latest", "ckpt-3")
          try mirror.remove("ckpt-2")
        })
      let report = await mirror.finish()
      #expect(report.failures == [])
      #expect(await store.keys == ["t/ckpt-3/data", "t/latest"])
      #expect(await store.text("t/latest") == "ckpt-3")
    }
  }

  @Test func `a marker is published at the end even if events were lost during the drain`() async throws {
    try await run { mirror, store in
      try await replaceCheckpoint(mirror)
      await store.hold(
        Gates.once(at: "t/ckpt-2/data") {
          try await mirror.injectOverflow {
            try mirror.write("ckpt-2/more", "2")
            try mirror.write("latest", "ckpt-2, whole")
          }
        })
      let report = await mirror.finish()
      #expect(report.failures == [])
      #expect(await store.keys == ["t/ckpt-2/data", "t/ckpt-2/more", "t/latest"])
      #expect(await store.text("t/latest") == "ckpt-2, whole")
    }
  }

  @Test func `a marker is published at the end even if the drain could not compare a directory`() async throws
  {
    try await run { mirror, store in
      try await replaceCheckpoint(mirror)
      mirror.lane.schedule.note([.rescan("ckpt-2", .collapsed)])
      await store.inject(Faults.first(1, ofOperation: "ListObjectsV2"))
      let report = await mirror.finish()
      #expect(report.failures == [])
      #expect(await store.keys == ["t/ckpt-2/data", "t/latest"])
      #expect(await store.text("t/latest") == "ckpt-2")
    }
  }

  @Test(.promise("END-2"))
  func `files are tried again if the last listing fails, and markers are held back`() async throws {
    try await run { mirror, store in
      try await replaceCheckpoint(mirror)
      let puts = Faults.first(1, of: "t/ckpt-2/data")
      await store.inject { call, moment in
        call.operation == "ListObjectsV2" ? call.refusal() : puts(call, moment)
      }
      let report = await mirror.finish()
      #expect(report.failures.map(\.path).sorted() == [".", "latest"])
      #expect(await store.keys == ["t/ckpt-1/data", "t/ckpt-2/data", "t/latest"])
      #expect(await store.text("t/latest") == "ckpt-1")
    }
  }

  // MARK: Told

  @Test(.promise("END-1"))
  func `an unpublished file is reported with its reason, and a marker with the file for which it waits`()
    async throws
  {
    try await run { mirror, store in
      try await replaceCheckpoint(mirror)
      await store.inject(Faults.first(.max, of: "t/ckpt-2/data"))
      let report = await mirror.finish()
      let reasons = Dictionary(report.failures.map { ($0.path, $0.reason) }, uniquingKeysWith: { $1 })
      #expect(report.failures.count == 2)
      #expect(reasons["ckpt-2/data"]?.contains("InternalError") == true)
      #expect(reasons["latest"] == "it waits for ckpt-2/data, which is not published")
      #expect(await store.keys == ["t/ckpt-1/data", "t/latest"])
      #expect(report.withheld.map(\.path) == ["ckpt-1/data"])
    }
  }

  @Test(.promise("END-1"), arguments: [1, Int.max])
  func `a change of equal size that failed in the drain is tried again, and reported if it fails again`(
    times: Int
  )
    async throws
  {
    try await run(.size) { mirror, store in
      try mirror.write("f", "aaaa")
      try await mirror.lane.flush()
      try mirror.write("f", "bbbb")
      await store.inject(Faults.first(times, of: "t/f"))
      let report = await mirror.finish()
      #expect(report.failures.map(\.path) == (times == 1 ? [] : ["f"]))
      #expect(await store.text("t/f") == (times == 1 ? "bbbb" : "aaaa"))
    }
  }

  @Test(.promise("DB-3"))
  func `a change of equal size during the drain is published`() async throws {
    try await run(.size) { mirror, store in
      try mirror.write("f", "aaaa")
      await store.hold(Gates.once(at: "t/f") { try mirror.write("f", "bbbb") })
      let report = await mirror.finish()
      #expect(report.failures == [])
      #expect(await store.text("t/f") == "bbbb")
    }
  }

  @Test func `a file that is written without pause at equal size is reported`() async throws {
    try await run(.size, settle: .milliseconds(300), watch: .kernel) { mirror, store in
      try mirror.write("f", String(repeating: "a", count: RestlessWriter.size))
      try await mirror.lane.flush()
      let writer = try RestlessWriter(mirror.tree + "/f")
      let report = await mirror.finish()
      writer.stop()
      #expect(report.failures.map(\.path) == ["f"])
    }
  }

  @Test(arguments: [ComparePolicy.standard, .size])
  func `an open file with two names is reported under both, and S3 keeps the whole version`(
    comparison: ComparePolicy
  ) async throws {
    try await run(comparison, watch: .kernel) { mirror, store in
      try mirror.write("a", "one")
      try mirror.link("a", "b")
      try await mirror.lane.flush()
      let writer = open(mirror.tree + "/a", O_WRONLY | O_CLOEXEC)
      try #require(writer >= 0)
      try #require(pwrite(writer, "two", 3, 0) == 3)
      let report = await mirror.finish()
      close(writer)
      #expect(report.failures.map(\.path).sorted() == ["a", "b"])
      #expect(await store.text("t/a") == "one")
      #expect(await store.text("t/b") == "one")
    }
  }

  @Test func `a drain that publishes everything sends no request besides those of the comparison`()
    async throws
  {
    try await run { mirror, store in
      try await replaceCheckpoint(mirror)
      await store.forgetCalls()
      await mirror.finish()
      #expect(
        await store.calls.map(\.operation).sorted()
          == ["DeleteObjects", "HeadObject", "ListObjectsV2", "PutObject", "PutObject"])
    }
  }

  // MARK: Deletes

  @Test func `the data of an old marker stay while the data of the new one are written without pause`()
    async throws
  {
    try await run(settle: .milliseconds(300), watch: .kernel) { mirror, store in
      try await replaceCheckpoint(mirror)
      let writer = try RestlessWriter(mirror.tree + "/ckpt-2/data")
      let report = await mirror.finish()
      writer.stop()
      #expect(await store.keys == ["t/ckpt-1/data", "t/latest"])
      #expect(await store.text("t/latest") == "ckpt-1")
      #expect(report.failures.map(\.path).sorted() == ["ckpt-2/data", "latest"])
      #expect(report.withheld.map(\.path) == ["ckpt-1/data"])
    }
  }

  @Test(.promise("DEL-10"))
  func `the old name of a file that is written without pause keeps its object at the end`() async throws {
    try await run(settle: .milliseconds(300), watch: .kernel) { mirror, store in
      try mirror.write("a", "a")
      try await mirror.lane.flush()
      try mirror.write("z", "z")
      let writer = Mutex<RestlessWriter?>(nil)
      // When the drain has its batch, so that the end alone knows of it.
      await store.hold(
        Gates.once(at: "t/z") {
          try mirror.move("tree/a", "tree/b")
          let restless = try RestlessWriter(mirror.tree + "/b")
          writer.withLock { $0 = restless }
        })
      let report = await mirror.finish()
      writer.withLock { $0?.stop() }
      #expect(await store.keys == ["t/a", "t/z"])
      #expect(report.failures.map(\.path) == ["b"])
      #expect(
        report.withheld.map(\.reason) == [
          "some files are not published, for they are open or keep changing, and deletes come after them"
        ])
    }
  }
}

private enum Faults {
  /// Fails the first uploads of a key.
  static func first(_ count: Int, of key: String) -> FakeObjectStore.Fault {
    first(count) { $0.operation == "PutObject" && $0.key == key }
  }

  static func first(_ count: Int, ofOperation name: String) -> FakeObjectStore.Fault {
    first(count) { $0.operation == name }
  }

  private static func first(
    _ count: Int, where isMeant: @escaping @Sendable (FakeObjectStore.Call) -> Bool
  ) -> FakeObjectStore.Fault {
    let left = Counter(count)
    return { call, moment in
      moment == .beforeEffect && isMeant(call) && left.takeOne() ? call.refusal() : nil
    }
  }
}

private enum Gates {
  /// Has something happen before the first upload of a key goes on.
  static func once(at key: String, _ action: @escaping @Sendable () async throws -> Void)
    -> FakeObjectStore.Gate
  {
    let left = Counter(1)
    return { call in
      if call.operation == "PutObject", call.key == key, left.takeOne() { try await action() }
    }
  }
}

private final class Counter: Sendable {
  private let left: Mutex<Int>

  init(_ count: Int) { left = Mutex(count) }

  func takeOne() -> Bool {
    left.withLock { left in
      guard left > 0 else { return false }
      left -= 1
      return true
    }
  }
}

/// Overwrites a file without pause, its size staying the same, until it is stopped.
private final class RestlessWriter: Sendable {
  static let size = 64 << 10
  private let isStopped = Atomic(false)
  private let end = DispatchSemaphore(value: 0)

  init(_ path: String) throws {
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    try #require(descriptor >= 0)
    try #require(ftruncate(descriptor, off_t(Self.size)) == 0)
    Thread.detachNewThread { [self] in
      var bytes = [UInt8](repeating: 0, count: Self.size)
      var round: UInt64 = 0
      while !isStopped.load(ordering: .relaxed) {
        round += 1
        // Every version is another one.
        withUnsafeBytes(of: round) { bytes.replaceSubrange(0..<8, with: $0) }
        if pwrite(descriptor, bytes, bytes.count, 0) != bytes.count { break }
      }
      close(descriptor)
      end.signal()
    }
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    end.wait()
  }
}
