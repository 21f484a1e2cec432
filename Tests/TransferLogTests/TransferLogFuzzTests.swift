import SystemPackage
import TestSupport
import Testing

@testable import TransferLog

/// Logs that a crash, a disk or another hand has damaged.
@Suite struct TransferLogFuzzTests {
  private let scratch: ScratchDirectory

  init() throws { scratch = try ScratchDirectory() }

  private static func member(_ numbers: ClosedRange<Int>, error: String? = nil) -> [UInt8] {
    GzipWriter().member(of: numbers.flatMap { JSONLine(.numbered($0, error: error)).bytes })
  }

  /// Reads them as a file, with all that `log` makes of records.
  private func read(_ bytes: [UInt8]) throws -> (records: [TransferRecord], tally: TransferLogReader.Tally) {
    let reader = TransferLogReader(files: [try scratch.write(bytes, as: "log.gz")])
    let (records, tally) = try reader.all()
    let (_, again) = try reader.summary()
    if again != tally { throw Fuzzer.Complaint("two readings differ: \(tally), \(again)") }
    if tally.records != records.count { throw Fuzzer.Complaint("\(tally) of \(records.count) records") }
    if tally.files != 1 || !tally.failures.isEmpty { throw Fuzzer.Complaint("\(tally)") }
    return (records, tally)
  }

  @Test func `whatever became of a file, its last whole member is read`() throws {
    let last = Self.member(70...72)
    let wanted = (70...72).map { TransferRecord.numbered($0) }
    let corpus = [
      Self.member(1...3), Self.member(1...3) + Self.member(4...4), Self.member(1...200), [], [0, 0, 0, 0],
      Array(Self.member(1...20).dropLast(9)),
    ]
    try Fuzzer("gzip", corpus: corpus, tokens: ["\u{1f}", "\u{8}", "\u{1f}\u{8}"], rounds: 1500).run {
      bytes in
      let (records, _) = try read(bytes + last)
      guard records.suffix(3) == wanted[...] else {
        throw Fuzzer.Complaint("after the damage \(records.suffix(3).map { $0.path ?? "" }) are read")
      }
    }
  }

  @Test func `whatever a line holds, it is a record or is counted, and the others are read`() throws {
    let first = JSONLine(.numbered(1)).bytes
    let last = JSONLine(.numbered(2)).bytes
    var pass = TransferRecord.numbered(3, error: "a \"quoted\"\n\u{1b}[31m\u{2028}\u{202e} text")
    pass.requests = ["PutObject": 3, "ListObjectsV2": 1]
    pass.seconds = 1.5
    pass.attempts = 2
    pass.url = "s3://bucket/caf\u{e9}"
    let corpus = [first, JSONLine(pass).bytes].map { Array($0.dropLast()) }
    let tokens = [
      "null", "{", "}", "\"bytes\":", "\"seconds\":", "\\u0000", "\\ud800", "[", "\u{feff}", "\r",
    ]
    var damaged = 0
    try Fuzzer("log line", corpus: corpus, tokens: tokens, rounds: 2500).run { line in
      let (records, tally) = try read(GzipWriter().member(of: first + line + [0x0A] + last))
      guard records.first == .numbered(1), records.last == .numbered(2) else {
        throw Fuzzer.Complaint("a neighbour is lost: \(records.map { $0.path ?? "" })")
      }
      let lines = line.count { $0 == 0x0A } + 1
      guard tally.records + tally.badLines == lines + 2 else {
        throw Fuzzer.Complaint("\(lines + 2) lines, \(tally)")
      }
      damaged += tally.badLines
      // What was read is written as one line, and read again as the same.
      for record in records {
        let written = JSONLine(record).bytes
        if written.dropLast().contains(0x0A) { throw Fuzzer.Complaint("two lines of one record") }
      }
    }
    #expect(damaged > 100, "a fuzzer that damages nothing shows nothing")
  }
}
