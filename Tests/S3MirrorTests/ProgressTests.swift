import HTTPTransport
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// What people see while things move.
@Suite struct ProgressTests {
  @Test func `the line shows files, bytes, the rate since the beginning, and requests in flight`() {
    var first = TransferMeter.Reading()
    first.sentBytes = 100_000_000
    var now = first
    #expect(
      Progress.text(TransferMeter.Reading(), since: TransferMeter.Reading(), seconds: 1)
        == "s3mirror: 0 files")
    now.files = 1
    now.sentBytes = 160_000_000
    now.inFlight = 3
    #expect(
      Progress.text(now, since: first, seconds: 2)
        == "s3mirror: 1 file, 160.0 MB sent, 30.0 MB/s, 3 in flight")
    now.fetchedBytes = 1500
    #expect(
      Progress.text(now, since: now, seconds: 2).hasSuffix("160.0 MB sent, 1.5 kB fetched, 3 in flight"))
  }

  @Test func `impossible sizes add up to the largest number, without a trap`() {
    var now = TransferMeter.Reading()
    (now.sentBytes, now.fetchedBytes) = (.max, .max)
    #expect(Progress.text(now, since: TransferMeter.Reading(), seconds: 1e-9).contains("/s"))
    let meter = TransferMeter()
    for _ in 0..<2 {
      meter.began()
      meter.ended(sent: .max, fetched: .max)
    }
    #expect(meter.reading.sentBytes == .max)
    var plan = PlanSummary()
    for _ in 0..<3 {
      plan.note(PlannedAction(name: "n", kind: .download, path: "p", bytes: .max, reason: "new"))
    }
    #expect(plan.transferBytes == .max)
    #expect(plan.count(of: .download) == 3)
  }

  @Test func `payloads are counted in both directions, and failed ones are not`() async throws {
    let fake = FakeObjectStore()
    let meter = TransferMeter()
    let store = MeteredStore(fake, meter: meter)
    _ = try await store.send(PutObject(key: "a", body: BytesBody([1, 2, 3])))
    _ = try await store.send(GetObject(key: "a", sink: RecordingSink()))
    _ = try await store.send(GetObject(key: "a", range: 1...2, sink: RecordingSink()))
    _ = try await store.send(HeadObject(key: "a"))
    await #expect(throws: S3Error.self) {
      try await store.send(GetObject(key: "none", sink: RecordingSink()))
    }
    var expected = TransferMeter.Reading()
    expected.sentBytes = 3
    expected.fetchedBytes = 3 + 2
    #expect(meter.reading == expected)
  }

  private func written(_ kind: StatusLine.Kind, columns: Int = 80, _ body: (StatusLine) -> Void) throws
    -> String
  {
    let (reading, writing) = try FileDescriptor.pipe()
    defer {
      // Ends of a pipe that the test made; closing them cannot lose anything.
      do { try reading.close() } catch { Issue.record(error) }
    }
    body(StatusLine(writing, kind: kind, columns: { columns }))
    try writing.close()
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = try bytes.withUnsafeMutableBytes { try reading.read(into: $0) }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }

  @Test func `on a terminal the status is overwritten, and messages come before it`() throws {
    let text = try written(.terminal) { line in
      line.say("before")
      line.show("one")
      line.show("two")
      line.say("message")
      line.clear()
      line.clear()
      line.say("after")
    }
    let erase = "\r\u{1b}[K"
    #expect(text == "before\n\(erase)one\(erase)two\(erase)message\ntwo\(erase)after\n")
  }

  @Test func `a status never wraps, because only its last line could be erased`() throws {
    let text = try written(.terminal, columns: 6) { line in
      line.show("123456789")
      line.say("a message may")
    }
    let erase = "\r\u{1b}[K"
    #expect(text == "\(erase)12345\(erase)a message may\n12345")
  }

  @Test func `without a terminal each status is a line of its own`() throws {
    let text = try written(.plain) { line in
      line.show("one")
      line.say("message")
      line.clear()
    }
    #expect(text == "one\nmessage\n")
  }
}
