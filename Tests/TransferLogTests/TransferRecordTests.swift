import Foundation
import Testing

@testable import TransferLog

@Suite struct TransferRecordTests {
  private static let full = TransferRecord(
    time: UTCTime(milliseconds: 1_763_823_762_007), mirror: "checkpoints", operation: .upload, path: "a/b",
    url: "s3://bucket/a/b", bytes: 1 << 40, parts: 3, partsReused: 1, bytesCopied: 7, attempts: 2,
    seconds: 1.05,
    checksum: "crc32:9ae0daaf", proof: "closed", etag: "\"e-3\"", requestID: "4442587FB7D0A2F9",
    outcome: .failed,
    error: "no")

  @Test func `a line has its keys in the order of the documentation`() {
    #expect(
      Self.full.jsonLine
        == #"{"time":"2025-11-22T15:02:42.007Z","mirror":"checkpoints","operation":"upload","#
        + #""path":"a/b","url":"s3://bucket/a/b","bytes":1099511627776,"parts":3,"partsReused":1,"bytesCopied":7,"attempts":2,"#
        + #""seconds":1.050,"checksum":"crc32:9ae0daaf","proof":"closed","etag":"\"e-3\"","#
        + #""requestID":"4442587FB7D0A2F9","outcome":"failed","error":"no"}"#)
  }

  @Test func `what is not known is left out`() {
    let record = TransferRecord(
      time: UTCTime(milliseconds: 0), mirror: "m", operation: .delete, outcome: .done)
    #expect(
      record.jsonLine
        == #"{"time":"1970-01-01T00:00:00.000Z","mirror":"m","operation":"delete","outcome":"done"}"#)
  }

  @Test(arguments: [
    "plain", "quote \" and \\ back", "line\nfeed\r\n\ttab", "\u{0}\u{1}\u{1b}[31m\u{7f}\u{85}\u{9f}",
    "\u{2028}\u{2029}",
    "caf\u{e9} cafe\u{301} 😀 \u{10ffff}", "",
  ])
  func `any text comes back byte for byte, from one line of printable characters`(text: String) throws {
    let record = TransferRecord(
      time: UTCTime(milliseconds: 1), mirror: text, operation: TransferOperation(rawValue: text), path: text,
      outcome: .failed, error: text)
    let bytes = JSONLine(record).bytes
    let line = String(decoding: bytes, as: UTF8.self)
    let unprintable: (Unicode.Scalar) -> Bool = {
      $0.properties.generalCategory == .control || $0 == "\u{2028}" || $0 == "\u{2029}"
    }
    #expect(line.unicodeScalars.filter(unprintable) == ["\n"])
    let back = try JSONDecoder().decode(TransferRecord.self, from: Data(bytes))
    #expect(back == record)
    #expect(back.path.map { Array($0.utf8) } == Array(text.utf8))
  }

  @Test func `a full record comes back as it was`() throws {
    #expect(try JSONDecoder().decode(TransferRecord.self, from: Data(JSONLine(Self.full).bytes)) == Self.full)
  }

  @Test(arguments: [
    (0.0, "0"), (2.0, "2"), (0.001, "0.001"), (0.0004, "0"), (12.0996, "12.100"), (-1.5, "-1.500"),
    (86_400.25, "86400.250"),
  ])
  func `seconds are decimal, to the millisecond`(seconds: Double, number: String) {
    let record = TransferRecord(
      time: UTCTime(milliseconds: 0), mirror: "m", operation: .copy, seconds: seconds, outcome: .done)
    #expect(record.jsonLine.contains("\"seconds\":\(number),"))
  }

  @Test(arguments: [Double.infinity, .nan, 1e300]) func `a number JSON cannot hold is left out`(
    seconds: Double
  ) {
    let record = TransferRecord(
      time: UTCTime(milliseconds: 0), mirror: "m", operation: .copy, seconds: seconds, outcome: .done)
    #expect(!record.jsonLine.contains("seconds"))
  }

  @Test func `operations and outcomes of later versions are readable`() throws {
    let line = #"{"time":"2030-01-01T00:00:00Z","mirror":"m","operation":"warp","outcome":"odd","new":[1]}"#
    let record = try JSONDecoder().decode(TransferRecord.self, from: Data(line.utf8))
    #expect(record.operation.rawValue == "warp")
    #expect(record.outcome.rawValue == "odd")
  }
}
