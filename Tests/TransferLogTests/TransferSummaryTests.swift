import Testing

@testable import TransferLog

@Suite struct TransferSummaryTests {
  private static func record(
    _ operation: TransferOperation, _ outcome: TransferOutcome, at second: Int64, bytes: Int64? = nil,
    seconds: Double? = nil, attempts: Int? = nil, parts: Int? = nil, reused: Int? = nil,
    copied: Int64? = nil
  ) -> TransferRecord {
    TransferRecord(
      time: UTCTime(milliseconds: second * 1000), mirror: "m", operation: operation, bytes: bytes,
      parts: parts,
      partsReused: reused, bytesCopied: copied, attempts: attempts, seconds: seconds, outcome: outcome)
  }

  @Test func `counts, bytes and times add up by operation and outcome`() {
    let summary = TransferSummary([
      Self.record(.upload, .done, at: 110, bytes: 30_000_000, seconds: 10, attempts: 3, parts: 4, reused: 2),
      Self.record(.upload, .done, at: 112, bytes: 10_000_000, seconds: 10, attempts: 1),
      Self.record(.upload, .failed, at: 115, bytes: 5, seconds: 1, attempts: 5),
      Self.record(.copy, .done, at: 116, bytes: 900_000_000, seconds: 0.5),
      Self.record(.delete, .done, at: 120),
    ])
    let uploads = summary[.upload, .done]
    #expect(uploads.count == 2)
    #expect(uploads.bytes == 40_000_000)
    #expect(uploads.seconds == 20)
    #expect(uploads.retries == 2)
    #expect(uploads.parts == 4 && uploads.partsReused == 2)
    #expect(uploads.megabytesPerSecond == 2)
    #expect(summary[.upload, .failed].retries == 4)
    #expect(summary[.download, .done].count == 0)
    #expect(summary.total.count == 5)
    #expect(summary.total.retries == 6)
    #expect(summary.first == UTCTime(milliseconds: 100_000))
    #expect(summary.last == UTCTime(milliseconds: 120_000))
    #expect(summary.elapsedSeconds == 20)
    // 40 MB in 20 s: the copy went on within S3.
    #expect(summary.megabytesPerSecond == 2)
  }

  @Test func `what the server copied does not count as moved`() {
    let summary = TransferSummary([
      Self.record(.upload, .done, at: 110, bytes: 30_000_000, seconds: 10, copied: 20_000_000),
      // A line of another program.
      Self.record(.upload, .done, at: 110, bytes: 5, seconds: 0, copied: .max),
      Self.record(.upload, .done, at: 110, bytes: 10, seconds: 0, copied: -9),
    ])
    #expect(summary[.upload, .done].bytes == 30_000_015)
    #expect(summary[.upload, .done].bytesCopied == 20_000_005)
    #expect(summary[.upload, .done].megabytesPerSecond == 1.000001)
    #expect(summary.megabytesPerSecond == 1.000001)
  }

  @Test func `an empty summary has no rate and no times`() {
    let summary = TransferSummary()
    #expect(summary.megabytesPerSecond == nil)
    #expect(summary.elapsedSeconds == 0)
    #expect(summary.first == nil)
  }

  @Test func `numbers that make no sense do not trap`() {
    let wild = Self.record(
      .upload, .done, at: 0, bytes: .max, seconds: 1e30, attempts: .max, parts: .min, reused: .max)
    let summary = TransferSummary([
      wild, wild, Self.record(.upload, .done, at: 1, bytes: -5, seconds: -1, attempts: 0),
    ])
    #expect(summary.total.bytes == .max)
    #expect(summary.total.retries == .max)
    #expect(summary.total.parts == 0)
    // What a table prints.
    #expect(summary.total.wholeSeconds > 1_000_000_000)
    let endless = TransferSummary([
      Self.record(.upload, .done, at: 0, seconds: .greatestFiniteMagnitude),
      Self.record(.upload, .done, at: 0, seconds: .greatestFiniteMagnitude),
    ])
    #expect(endless.total.seconds == .infinity)
    #expect(endless.total.wholeSeconds == .max)
  }
}
