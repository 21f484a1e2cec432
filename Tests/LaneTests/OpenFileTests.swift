import Glibc
import HTTPTransport
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Files that a program has open for writing, with real writers.
@Suite struct OpenFileTests {
  private func run(
    interval: Duration?, grace: Duration? = nil, store: FakeObjectStore = FakeObjectStore(),
    delete: Bool = true, _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws -> [String: String] {
    var configuration = LaneUnderTest.Configuration(interval: interval)
    configuration.openFileGrace = grace
    configuration.delete = delete
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    var proofs: [String: String] = [:]
    // The first of each version: a close makes its file go once more.
    for record in try mirror.records().reversed() where record.operation == .upload {
      proofs["\(record.path ?? "") \(record.bytes ?? 0)"] = record.proof
    }
    try mirror.removeDirectory()
    return proofs
  }

  private func open(_ path: String, _ flags: Int32 = 0) throws -> Int32 {
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0o644)
    try #require(descriptor >= 0)
    return descriptor
  }

  private func append(_ text: String, to descriptor: Int32) throws {
    let bytes = Array(text.utf8)
    try #require(bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
  }

  @Test(.promise("PUB-6"))
  func `a file waits for its close, and is then published as closed`() async throws {
    let proofs = try await run(interval: nil) { mirror, store in
      let writer = try open(mirror.tree + "/a")
      try append("half", to: writer)
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      try append(" and half", to: writer)
      close(writer)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "half and half")
    }
    #expect(proofs == ["a 13": "closed"])
  }

  @Test(.promise("PUB-7"))
  func `a log that is never closed is published as snapshots after its grace`() async throws {
    let proofs = try await run(interval: .milliseconds(20), grace: .milliseconds(40)) { mirror, store in
      let writer = try open(mirror.tree + "/log", O_APPEND)
      try append("one\n", to: writer)
      try await mirror.wait { heard in heard.compactMap(\.summary).contains { $0.published == 1 } }
      #expect(await store.text("t/log") == "one\n")
      try append("two\n", to: writer)
      try await mirror.wait { heard in heard.compactMap(\.summary).count { $0.published == 1 } == 2 }
      #expect(await store.text("t/log") == "one\ntwo\n")
      close(writer)
    }
    #expect(proofs["log 4"] == "reread")
    #expect(proofs["log 8"] == "reread")
  }

  /// A prefix of a checkpoint is half a checkpoint, and two equal readings of a prefix prove nothing.
  @Test(.promise("PUB-6"), arguments: [Duration.milliseconds(20), .zero])
  func `while a file is written, S3 keeps its last whole version`(
    interval: Duration
  ) async throws {
    let proofs = try await run(interval: interval, grace: .zero) { mirror, store in
      try mirror.write("model", "whole")
      try await mirror.wait(for: "model", in: store)
      let writer = try open(mirror.tree + "/model", O_TRUNC)
      for name in ["b", "c", "d"] {
        try append("half ", to: writer)
        try mirror.write(name, name)
        try await mirror.wait(for: name, in: store)
        #expect(await store.text("t/model") == "whole")
      }
      #expect(mirror.lane.status.openFiles.map(\.path) == ["model"])
      close(writer)
      try await mirror.wait(for: "model", toBe: "half half half ", in: store)
      #expect(mirror.lane.status.openFiles == [])
    }
    #expect(proofs.filter { $0.key.hasPrefix("model") } == ["model 5": "closed", "model 15": "closed"])
  }

  @Test(.promise("PUB-6"))
  func `a file that is open at the end is not published, and the report names it`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store)
    try await mirror.start()
    let writer = try open(mirror.tree + "/model")
    try append("half", to: writer)
    try mirror.write("whole", "whole")
    let report = await mirror.finish()
    close(writer)
    #expect(await store.keys == ["t/whole"])
    #expect(report.failures.map(\.path) == ["model"])
    #expect(report.failures.first?.reason.contains("open for writing") == true)
    try mirror.removeDirectory()
  }

  @Test(.promise("PUB-7"))
  func `an open log is published only if text was appended`() async throws {
    _ = try await run(interval: .milliseconds(20), grace: .zero) { mirror, store in
      let writer = try open(mirror.tree + "/log", O_APPEND)
      try append("one\n", to: writer)
      try await mirror.wait(for: "log", toBe: "one\n", in: store)
      try #require(ftruncate(writer, 0) == 0)
      try append("another and longer\n", to: writer)
      for name in ["b", "c"] {
        try mirror.write(name, name)
        try await mirror.wait(for: name, in: store)
      }
      #expect(await store.text("t/log") == "one\n")
      close(writer)
      try await mirror.wait(for: "log", toBe: "another and longer\n", in: store)
    }
  }

  @Test(.promise("PUB-7"), arguments: [("one\n", true), ("other\n", false), ("one\ntwo\nthree\n", false)])
  func `an open log replaces an earlier run's object only if it extends that object`(
    published: String, isExtended: Bool
  ) async throws {
    let store = FakeObjectStore()
    _ = try await run(interval: .milliseconds(20), grace: .zero, store: store) { mirror, store in
      _ = try await store.send(PutObject(key: "t/log", body: BytesBody(Array(published.utf8))))
      let writer = try open(mirror.tree + "/log", O_APPEND)
      try append("one\ntwo\n", to: writer)
      if isExtended {
        try await mirror.wait(for: "log", toBe: "one\ntwo\n", in: store)
      } else {
        for name in ["b", "c"] {
          try mirror.write(name, name)
          try await mirror.wait(for: name, in: store)
        }
        #expect(await store.text("t/log") == published)
      }
      close(writer)
      try await mirror.wait(for: "log", toBe: "one\ntwo\n", in: store)
    }
  }

  @Test func `the grace of a file begins again when the file is opened again`() async throws {
    _ = try await run(interval: nil) { mirror, store in
      try mirror.write("a", "whole")
      let writer = try open(mirror.tree + "/a")
      // Closed once, so it is taken; the writer keeps it, and from now on it counts as open.
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      #expect(mirror.lane.status.waitingFiles == 1)
      close(writer)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "whole")
    }
  }

  @Test func `a file waits for a process that maps it, although no event reports the process's writes`()
    async throws
  {
    _ = try await run(interval: nil) { mirror, store in
      let size = 8192
      try mirror.write("a", String(repeating: "o", count: size))
      try await mirror.lane.flush()
      let writer = try open(mirror.tree + "/a")
      let memory = try #require(mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0))
      close(writer)
      memset(memory, Int32(UInt8(ascii: "n")), size / 2)
      // Makes it dirty without a word of the mapping.
      try #require(chmod(mirror.tree + "/a", 0o600) == 0)
      try #require(rename(mirror.tree + "/a", mirror.tree + "/b") == 0)
      try await mirror.lane.flush()
      #expect(await store.text("t/b") == nil)
      memset(memory, Int32(UInt8(ascii: "n")), size)
      munmap(memory, size)
      try await mirror.settle()
      #expect(await store.text("t/b") == String(repeating: "n", count: size))
    }
  }

  @Test func `a file that is moved in is proved by a lease`() async throws {
    let proofs = try await run(interval: nil) { mirror, store in
      let writer = try open(mirror.outside + "/a")
      try append("moved in", to: writer)
      close(writer)
      try mirror.move("outside/a", "tree/a")
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "moved in")
    }
    #expect(proofs == ["a 8": "leased"])
  }

  /// The kernel reports a write, and no process has the file open, so no close follows.
  @Test(.promise("PUB-8"))
  func `a file that is truncated by its name is published by the next flush`() async throws {
    let proofs = try await run(interval: nil) { mirror, store in
      try mirror.write("a", "long text")
      try await mirror.lane.flush()
      try #require(truncate(mirror.tree + "/a", 4) == 0)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "long")
      #expect(mirror.lane.status.waitingFiles == 0)
    }
    #expect(proofs["a 4"] == "leased")
  }

  /// The kernel names the file of a write when it was written, and may queue that after the rename of the file.
  @Test func `a write that is reported for a replaced name keeps nothing waiting`() async throws {
    _ = try await run(interval: nil) { mirror, store in
      try mirror.write("d/a", "one")
      mirror.lane.schedule.note([.modified("d"), .modified("gone")])
      try await mirror.lane.flush()
      #expect(await store.text("t/d/a") == "one")
      #expect(mirror.lane.status.waitingFiles == 0)
    }
  }

  @Test(.promise("PUB-8"), arguments: [Duration.milliseconds(20), .zero])
  func `a file that is truncated by its name is published by the next tick, whatever the grace`(
    interval: Duration
  )
    async throws
  {
    _ = try await run(interval: interval, grace: .seconds(3600)) { mirror, store in
      try mirror.write("a", "long text")
      try await mirror.wait { heard in heard.compactMap(\.summary).contains { $0.published == 1 } }
      try #require(truncate(mirror.tree + "/a", 4) == 0)
      try await mirror.wait { heard in heard.compactMap(\.summary).count { $0.published == 1 } == 2 }
      #expect(await store.text("t/a") == "long")
    }
  }

  @Test func `a marker waits for a file that was truncated by its name`() async throws {
    _ = try await run(interval: nil) { mirror, store in
      try mirror.write("a", "long text")
      try await mirror.lane.flush()
      try #require(truncate(mirror.tree + "/a", 4) == 0)
      try mirror.write("latest", "a has 4 bytes")
      await store.forgetCalls()
      try await mirror.lane.flush()
      #expect(await store.calls.compactMap(\.key) == ["t/a", "t/latest"])
    }
  }

  @Test(.promise("PUB-8"))
  func `a file that is truncated by its name while it is open waits for its close`() async throws {
    _ = try await run(interval: nil) { mirror, store in
      let writer = try open(mirror.tree + "/a")
      try append("long text", to: writer)
      try #require(truncate(mirror.tree + "/a", 4) == 0)
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      #expect(mirror.lane.status.waitingFiles == 1)
      close(writer)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "long")
    }
  }

  @Test func `ticks leave an open file during its grace`() async throws {
    _ = try await run(interval: .milliseconds(20), grace: .seconds(3600)) { mirror, store in
      let writer = try open(mirror.tree + "/a")
      try append("half", to: writer)
      for name in ["b", "c"] {
        try mirror.write(name, name)
        try await mirror.wait(for: name, in: store)
      }
      #expect(await store.keys == ["t/b", "t/c"])
      close(writer)
      try await mirror.wait(for: "a", in: store)
      #expect(await store.text("t/a") == "half")
    }
  }

  @Test func `ticks leave a file that was moved in while open, during its grace`() async throws {
    _ = try await run(interval: .milliseconds(20), grace: .seconds(3600)) { mirror, store in
      let writer = try open(mirror.outside + "/a")
      try append("half", to: writer)
      try mirror.move("outside/a", "tree/a")
      // The first tick finds the writer, the next ones know of him.
      for name in ["b", "c", "d"] {
        try mirror.write(name, name)
        try await mirror.wait(for: name, in: store)
      }
      #expect(await store.keys == ["t/b", "t/c", "t/d"])
      close(writer)
      try await mirror.wait(for: "a", in: store)
      #expect(await store.text("t/a") == "half")
    }
  }

  @Test func `touch(1) alone publishes nothing`() async throws {
    _ = try await run(interval: nil) { mirror, store in
      try mirror.write("a", "text")
      try await mirror.lane.flush()
      await store.forgetCalls()
      try #require(utimes(mirror.tree + "/a", nil) == 0)
      try await mirror.lane.flush()
      #expect(await store.calls == [])
    }
  }
}
