import Foundation
import Glibc
import HTTPTransport
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Large files that change while the mirror runs.
@Suite struct DeltaTests {
  private static let mebibyte = 1 << 20

  private func text(_ count: Int, _ letter: Character) -> String { String(repeating: letter, count: count) }

  private func run(
    interval: Duration? = nil, grace: Duration? = nil, watch: LaneUnderTest.WatchKind = .reported,
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws -> [Int64] {
    var configuration = LaneUnderTest.Configuration(interval: interval, watch: watch)
    configuration.openFileGrace = grace
    configuration.singleThreshold = 5 << 20
    configuration.partBytes = 5 << 20
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    let copied = try mirror.records().filter { $0.operation == .upload }.map { $0.bytesCopied ?? 0 }
    try mirror.removeDirectory()
    return copied
  }

  @Test(.promise("XFER-14"))
  func `the second version of a file is a delta, and status and log say what was copied`() async throws {
    let copied = try await run { mirror, store in
      try mirror.write("weights", text(7 * Self.mebibyte, "a"))
      try await mirror.lane.flush()
      try mirror.append("weights", "b")
      try await mirror.lane.flush()
      #expect(await store.text("t/weights") == text(7 * Self.mebibyte, "a") + "b")
      #expect(mirror.lane.status.copiedBytes == 7 * Int64(Self.mebibyte))
      #expect(mirror.notices.passes.last?.copiedBytes == 7 * Int64(Self.mebibyte))
    }
    #expect(copied.sorted() == [0, 7 << 20])
  }

  @Test(.promise("XFER-14", "PUB-7"))
  func `a log that is never closed sends what was appended`() async throws {
    let copied = try await run(interval: .milliseconds(20), grace: .milliseconds(40), watch: .kernel) {
      mirror, store in
      let writer = open(mirror.tree + "/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      try #require(writer >= 0)
      defer { close(writer) }
      let handle = FileHandle(fileDescriptor: writer, closeOnDealloc: false)
      try handle.write(contentsOf: Data(text(7 * Self.mebibyte, "a").utf8))
      try await mirror.wait { heard in heard.compactMap(\.summary).contains { $0.published == 1 } }
      try handle.write(contentsOf: Data("b".utf8))
      try await mirror.wait { heard in heard.compactMap(\.summary).count { $0.published == 1 } == 2 }
      #expect(await store.text("t/log") == text(7 * Self.mebibyte, "a") + "b")
      #expect(await store.count(of: "UploadPartCopy") == 1)
    }
    #expect(copied.contains(7 << 20))
  }

  @Test func `a renamed file is a delta of its copy`() async throws {
    let copied = try await run { mirror, store in
      try mirror.write("old", text(7 * Self.mebibyte, "a"))
      try await mirror.lane.flush()
      try mirror.move("tree/old", "tree/new")
      try await mirror.lane.flush()
      try mirror.append("new", "b")
      try await mirror.lane.flush()
      #expect(await store.text("t/new") == text(7 * Self.mebibyte, "a") + "b")
    }
    #expect(copied.sorted() == [0, 7 << 20])
  }

  @Test(.promise("XFER-18"))
  func `weights that are the same in each checkpoint are sent once`() async throws {
    let copied = try await run { mirror, store in
      for step in 1...3 {
        try mirror.write("step-\(step)/frozen", text(7 * Self.mebibyte, "a"))
        try mirror.write("step-\(step)/small", "\(step)")
        try await mirror.lane.flush()
        #expect(await store.text("t/step-\(step)/frozen") == text(7 * Self.mebibyte, "a"))
      }
      // A copy under another name.
      try mirror.write("best", text(7 * Self.mebibyte, "a"))
      try await mirror.lane.flush()
      #expect(await store.text("t/best") == text(7 * Self.mebibyte, "a"))
      #expect(await store.count(of: "UploadPart") == 2)
    }
    #expect(copied.count { $0 == 7 << 20 } == 3)
  }

  @Test(.promise("XFER-14", "UNIT-1"))
  func `a unit appears only when its deltas are on the server`() async throws {
    _ = try await run { mirror, store in
      let names = ["step/a", "step/b"]
      for name in names { try mirror.write(name, text(11 * Self.mebibyte, "a")) }
      try await mirror.lane.flush()
      await store.forgetCalls()
      for name in names { try mirror.append(name, "b") }
      try await mirror.lane.flush()
      for name in names { #expect(await store.text("t/" + name) == text(11 * Self.mebibyte, "a") + "b") }
      let calls = await store.calls.map(\.operation)
      let completed = try #require(calls.firstIndex(of: "CompleteMultipartUpload"))
      #expect(calls[..<completed].count { $0 == "UploadPartCopy" } == 2)
      #expect(calls[..<completed].count { $0 == "UploadPart" } == 2)
      #expect(!calls[completed...].contains("UploadPart"))
    }
  }
}
