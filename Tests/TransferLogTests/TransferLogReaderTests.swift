import SystemPackage
import Testing

@testable import TransferLog

@Suite struct TransferLogReaderTests {
  private let scratch: ScratchDirectory

  init() throws { scratch = try ScratchDirectory() }

  private static func member(_ numbers: ClosedRange<Int>) -> [UInt8] {
    GzipWriter().member(of: numbers.flatMap { JSONLine(.numbered($0)).bytes })
  }

  private func read(_ bytes: [UInt8]) throws -> (records: [TransferRecord], tally: TransferLogReader.Tally) {
    try TransferLogReader(files: [try scratch.write(bytes, as: "log.gz")]).all()
  }

  private func numbers(_ records: [TransferRecord]) -> [Int] {
    records.compactMap { record in
      (record.path?.split(separator: "-").last).flatMap { Int($0) }
    }
  }

  @Test func `a file cut anywhere gives the records of every whole member`() throws {
    let members = [Self.member(1...3), Self.member(4...4), Self.member(5...9)]
    let whole = members.flatMap { $0 }
    let ends = [0, members[0].count, members[0].count + members[1].count, whole.count]
    let records = [0, 3, 4, 9]
    for length in 0...whole.count {
      let (found, tally) = try read(Array(whole[..<length]))
      let complete = ends.lastIndex { $0 <= length } ?? 0
      #expect(found.count >= records[complete])
      #expect(found == (1..<(found.count + 1)).map { TransferRecord.numbered($0) })
      #expect(tally.cutFiles == (ends.contains(length) ? 0 : 1), "cut at \(length)")
      #expect(tally.damagedFiles == 0)
    }
  }

  @Test func `one damaged byte costs its own member only, wherever it lies`() throws {
    let first = Self.member(1...3)
    let second = Self.member(4...6)
    let third = Self.member(7...9)
    for index in second.indices {
      var damaged = second
      damaged[index] ^= 0xFF
      let (found, tally) = try read(first + damaged + third)
      let survivors = numbers(found)
      #expect(survivors.filter { $0 <= 3 } == [1, 2, 3], "byte \(index)")
      #expect(survivors.filter { $0 >= 7 } == [7, 8, 9], "byte \(index)")
      // RFC 1952, 2.3: MTIME, XFL and OS are not checked by anything, and cost nothing.
      #expect(tally.damagedFiles == ((4...9).contains(index) ? 0 : 1), "byte \(index)")
      #expect(tally.cutFiles == 0)
    }
  }

  @Test func `a cut member in the middle does not hide the next`() throws {
    let member = Self.member(4...12)
    for length in 1..<member.count {
      let (found, tally) = try read(Self.member(1...3) + member[..<length] + Self.member(70...72))
      #expect(numbers(found).prefix(3) == [1, 2, 3], "cut at \(length)")
      #expect(numbers(found).suffix(3) == [70, 71, 72], "cut at \(length)")
      #expect(tally.damagedFiles == 1 && tally.cutFiles == 0, "cut at \(length)")
    }
  }

  @Test func `zeros that a power cut left are passed over`() throws {
    let zeros = [UInt8](repeating: 0, count: 100_000)
    let (found, tally) = try read(Self.member(1...2) + zeros + Self.member(3...3) + zeros)
    #expect(numbers(found) == [1, 2, 3])
    #expect(tally.damagedFiles == 0)
  }

  @Test func `bad lines are counted, and the rest goes on`() throws {
    let bad = ["", "not json", "{\"time\":\"never\"}", "{}"].map { $0 + "\n" }.joined()
    let lines = JSONLine(.numbered(1)).bytes + Array(bad.utf8) + JSONLine(.numbered(2)).bytes
    let (found, tally) = try read(GzipWriter().member(of: lines))
    #expect(numbers(found) == [1, 2])
    #expect(tally.badLines == 4)
    #expect(tally.records == 2)
  }

  @Test func `a line without end is not held in memory`() throws {
    let endless =
      [UInt8](repeating: UInt8(ascii: "x"), count: 3 * LineSplitter.maxLineBytes) + [UInt8(ascii: "\n")]
    let (found, tally) = try read(GzipWriter().member(of: endless + JSONLine(.numbered(1)).bytes))
    #expect(numbers(found) == [1])
    #expect(tally.badLines == 1)
  }

  @Test func `a line goes on from one member to the next`() throws {
    let line = JSONLine(.numbered(1)).bytes
    let (found, _) = try read(
      GzipWriter().member(of: Array(line[..<20])) + GzipWriter().member(of: Array(line[20...])))
    #expect(numbers(found) == [1])
  }

  @Test func `large files come through whole`() throws {
    let (found, tally) = try read(Self.member(1...5000) + Self.member(5001...10_000))
    #expect(numbers(found) == Array(1...10_000))
    #expect(tally.badLines == 0)
  }

  @Test func `files are read in the order of days and runs, one mirror's on request`() throws {
    let names = [
      "a-2025-11-22-235959-9.jsonl.gz", "b-2025-11-23-000001-1.jsonl.gz", "a-2025-11-23-000002-1.jsonl.gz",
      "a-2025-11-23-000002-1-2.jsonl.gz", "a-2025-11-23-000002-1-10.jsonl.gz",
    ]
    for (index, name) in names.enumerated().reversed() {
      _ = try scratch.write(Self.member(index...index), as: name)
    }
    _ = try scratch.write(Self.member(99...99), as: "stranger.gz")
    #expect(numbers(try TransferLogReader(directory: scratch.path).all().records) == [0, 1, 2, 3, 4])
    #expect(
      numbers(try TransferLogReader(directory: scratch.path, mirror: "a").all().records) == [0, 2, 3, 4])
    #expect(try TransferLogReader(directory: scratch.path.appending("absent")).all().tally.files == 0)
  }

  @Test func `a file that cannot be read is told of, and the next one is read`() throws {
    let absent = scratch.path.appending("absent.gz")
    let (found, tally) = try TransferLogReader(
      files: [absent, scratch.path, try scratch.write(Self.member(1...1), as: "log.gz")]
    ).all()
    #expect(numbers(found) == [1])
    #expect(tally.failures.map(\.path) == [absent.string, scratch.path.string])
    #expect(tally.failures.map(\.operation) == [.open, .read])
  }

  @Test func `an error of the caller's ends the reading and reaches it`() throws {
    struct Enough: Error {}
    let reader = TransferLogReader(files: [try scratch.write(Self.member(1...10), as: "log.gz")])
    var count = 0
    #expect(throws: Enough.self) {
      try reader.forEach { _ in
        count += 1
        if count == 3 { throw Enough() }
      }
    }
    #expect(count == 3)
  }

  @Test func `records are chosen by time, outcome and key`() throws {
    let records = [
      TransferRecord.numbered(1), .numbered(2, error: "no"), .numbered(13), .numbered(14, error: "no"),
    ]
    let file = try scratch.write(
      GzipWriter().member(of: records.flatMap { JSONLine($0).bytes }), as: "log.gz")
    func chosen(_ filter: TransferLogFilter) throws -> [Int] {
      numbers(try TransferLogReader(files: [file], filter: filter).all().records)
    }
    #expect(try chosen(TransferLogFilter(since: TransferRecord.numbered(2).time)) == [2, 13, 14])
    #expect(try chosen(TransferLogFilter(outcome: .failed)) == [2, 14])
    #expect(try chosen(TransferLogFilter(key: KeyPattern("step-1"))) == [1, 13, 14])
    #expect(try chosen(TransferLogFilter(outcome: .failed, key: KeyPattern("*-1?"))) == [14])
  }

  @Test func `files of days before the wanted time are not opened`() throws {
    for day in 19...23 { _ = try scratch.write([], as: "a-2025-11-\(day)-000000-1.jsonl.gz") }
    let since = try #require(UTCTime(rfc3339: "2025-11-22T12:00:00Z"))
    let reader = try TransferLogReader(directory: scratch.path, filter: TransferLogFilter(since: since))
    #expect(
      reader.files.compactMap(\.lastComponent?.string).map { $0.prefix(12) } == [
        "a-2025-11-21", "a-2025-11-22", "a-2025-11-23",
      ])
  }
}
