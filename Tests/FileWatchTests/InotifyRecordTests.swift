import FileWatch
import MirrorModel
import TestSupport
import Testing

@Suite struct `inotify records` {
  @Test func `names lose their padding`() {
    let bytes = record(descriptor: 3, mask: 0x100, cookie: 0, name: Array("part-1".utf8), padding: 10)
    let (records, used) = decode(bytes)
    #expect(records == [InotifyRecord(descriptor: 3, mask: .create, name: .text("part-1"))])
    #expect(used == bytes.count)
  }

  @Test func `a record without a name concerns the directory itself`() {
    let (records, used) = decode(record(descriptor: 7, mask: 0x400, cookie: 0, name: [], padding: 0))
    #expect(records == [InotifyRecord(descriptor: 7, mask: .deleteSelf)])
    #expect(used == 16)
  }

  @Test func `an overflow has descriptor -1`() {
    let (records, _) = decode(record(descriptor: -1, mask: 0x4000, cookie: 0, name: [], padding: 0))
    #expect(records == [InotifyRecord(descriptor: -1, mask: .queueOverflow)])
  }

  @Test func `cookie and directory bit are kept, records follow each other`() {
    let bytes =
      record(descriptor: 1, mask: 0x4000_0040, cookie: 9, name: Array("a".utf8), padding: 15)
      + record(descriptor: 2, mask: 0x4000_0080, cookie: 9, name: Array("b".utf8), padding: 15)
    let (records, _) = decode(bytes)
    #expect(
      records == [
        InotifyRecord(descriptor: 1, mask: [.movedFrom, .isDirectory], cookie: 9, name: .text("a")),
        InotifyRecord(descriptor: 2, mask: [.movedTo, .isDirectory], cookie: 9, name: .text("b")),
      ])
  }

  @Test func `a name that is not UTF-8 is told apart`() {
    let (records, _) = decode(record(descriptor: 1, mask: 0x100, cookie: 0, name: [0x66, 0xFF], padding: 14))
    #expect(records == [InotifyRecord(descriptor: 1, mask: .create, name: .undecodable("f\\xff"))])
  }

  @Test func `spellings of one name stay different`() {
    let composed = record(descriptor: 1, mask: 0x2, cookie: 0, name: Array("\u{E9}".utf8), padding: 14)
    let decomposed = record(descriptor: 1, mask: 0x2, cookie: 0, name: Array("e\u{301}".utf8), padding: 13)
    let (records, _) = decode(composed + decomposed)
    #expect(records.count == 2)
    #expect(records.first != records.last)
  }

  @Test(arguments: 0..<48)
  func `a truncated tail is left over, not read`(length: Int) {
    let first = record(descriptor: 1, mask: 0x2, cookie: 0, name: Array("a".utf8), padding: 7)
    let second = record(descriptor: 2, mask: 0x2, cookie: 0, name: Array("b".utf8), padding: 7)
    let (records, used) = decode(Array((first + second).prefix(length)))
    #expect(records.count == length / 24)
    #expect(used == length / 24 * 24)
  }

  @Test func `random bytes never lead outside the buffer`() {
    var random = SplitMix64(seed: 7)
    for _ in 0..<2_000 {
      let bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
        // Small numbers make plausible lengths.
        Bool.random(using: &random) ? UInt8.random(in: 0...32, using: &random) : 0
      }
      let (records, used) = decode(bytes)
      #expect(used <= bytes.count)
      #expect(used >= records.count * InotifyRecord.headerBytes)
      // What is left is less than a header, or a record whose name would pass the end.
      let rest = bytes[used...]
      if rest.count >= InotifyRecord.headerBytes {
        let words = rest.dropFirst(12).prefix(4).reversed()
        #expect(words.reduce(0) { $0 << 8 | Int($1) } > rest.count - InotifyRecord.headerBytes)
      }
    }
  }
}

private func decode(_ bytes: [UInt8]) -> ([InotifyRecord], Int) {
  var records: [InotifyRecord] = []
  let used = bytes.withUnsafeBytes { InotifyRecord.decode($0) { records.append($0) } }
  return (records, used)
}

/// As the kernel writes it.
func record(descriptor: Int32, mask: UInt32, cookie: UInt32, name: [UInt8], padding: Int) -> [UInt8] {
  let words = [UInt32(bitPattern: descriptor), mask, cookie, UInt32(name.count + padding)]
  return words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    + name + [UInt8](repeating: 0, count: padding)
}
