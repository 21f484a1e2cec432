import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// Files that a program has open for writing when the mirror begins, beside commit markers that are not on S3 yet.
@Suite struct OpenFileAtEntryTests {
  /// A program that has written half of a file.
  private final class Writer: Sendable {
    private let descriptor: Mutex<Int32?>

    init(_ path: String, _ flags: Int32) throws {
      let descriptor = open(path, O_WRONLY | O_CLOEXEC | flags, 0o644)
      try #require(descriptor >= 0)
      self.descriptor = Mutex(descriptor)
      try append("half")
    }

    func append(_ text: String) throws {
      let descriptor = try #require(descriptor.withLock { $0 })
      try #require(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
    }

    func close() {
      descriptor.withLock { descriptor in
        if let open = descriptor { Glibc.close(open) }
        descriptor = nil
      }
    }

    deinit { close() }
  }

  /// Begins a mirror over a checkpoint that an earlier run has left behind.
  ///
  /// - Parameter prepare: makes the tree and returns the writer that is at work.
  @discardableResult
  private func run(
    _ configuration: LaneUnderTest.Configuration = .init(), into store: FakeObjectStore = FakeObjectStore(),
    after prepare: (String) throws -> Writer,
    _ body: (LaneUnderTest, FakeObjectStore, Writer) async throws -> Void
  ) async throws -> MirrorReport.Upload {
    var writer: Writer?
    let mirror = try await LaneUnderTest(store, configuration) { tree, _ in writer = try prepare(tree) }
    try await mirror.start()
    try await body(mirror, store, try #require(writer))
    let report = await mirror.finish()
    writer?.close()
    try mirror.removeDirectory()
    return report
  }

  private func write(_ path: String, _ text: String) throws {
    try DiskFiles().write(path, text)
    // The next file to be created is younger, whatever the steps of the filesystem's clock.
    let written = try DiskFiles().status(path).changed
    let probe = path + ".probe"
    try blockUntil("the filesystem's clock has moved on") {
      try Data().write(to: URL(fileURLWithPath: probe))
      defer { unlink(probe) }
      return try DiskFiles().status(probe).changed > written
    }
  }

  /// Step 1 is whole, and the weights of step 2 are being written over it.
  private func overwriting(_ tree: String) throws -> Writer {
    try write(tree + "/weights", "1")
    try write(tree + "/latest", "step 1")
    return try Writer(tree + "/weights", O_TRUNC)
  }

  @Test(.promise("PUB-19"), arguments: [nil, Duration.milliseconds(20), .zero])
  func `a marker waits for an open file that is older than the marker`(interval: Duration?) async throws {
    try await run(.init(interval: interval), after: overwriting) { mirror, store, writer in
      #expect(await store.keys == [])
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      try writer.append(" and half")
      writer.close()
      try await mirror.settle()
      #expect(await store.text("t/weights") == "half and half")
      #expect(await store.text("t/latest") == "step 1")
    }
  }

  @Test(.promise("PUB-19"))
  func `a marker that waits for an open file at the end is a failure`() async throws {
    let store = FakeObjectStore()
    let report = try await run(into: store, after: overwriting) { _, _, _ in }
    #expect(await store.keys == [])
    #expect(Set(report.failures.map(\.path)) == ["latest", "weights"])
  }

  @Test(.promise("PUB-19"))
  func `a marker is published beside an open file that is younger than the marker`() async throws {
    try await run(after: { tree in
      try write(tree + "/step-1", "1")
      try write(tree + "/latest", "step-1")
      return try Writer(tree + "/step-2", O_CREAT | O_EXCL)
    }) { mirror, store, _ in
      #expect(await store.keys == ["t/latest", "t/step-1"])
    }
  }

  @Test(.promise("PUB-19"))
  func `a marker that is written after the entry does not wait for a file that was open before`()
    async throws
  {
    try await run(after: overwriting) { mirror, store, _ in
      // The kernel stamps files by a clock that moves some hundred times a second, so a marker of the same moment could be
      // older than the entry.
      let entered = wallClockNanoseconds()
      try await eventually("files get later stamps") {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec) > entered
      }
      try mirror.write("step-2", "2")
      try mirror.write("latest", "step-2")
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/latest", "t/step-2"])
    }
  }
}
