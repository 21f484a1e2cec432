import FileWatch
import MirrorModel
import TestSupport
import Testing

/// Records that no kernel writes: cut, with wrong lengths, without NULs, and in an order that makes no sense.
@Suite struct InotifyFuzzTests {
  typealias Decoder = (UnsafeRawBufferPointer, (InotifyRecord) throws -> Void) throws -> Int

  private static let corpus: [[UInt8]] = [
    record(descriptor: 1, mask: 0x4000_0100, cookie: 0, name: Array("directory".utf8), padding: 7)
      + record(descriptor: 1, mask: 0x100, cookie: 0, name: Array("file".utf8), padding: 12)
      + record(descriptor: 1, mask: 0x8, cookie: 0, name: Array("file".utf8), padding: 12),
    record(descriptor: 1, mask: 0x4000_0040, cookie: 7, name: Array("a".utf8), padding: 15)
      + record(descriptor: 2, mask: 0x4000_0080, cookie: 7, name: Array("b".utf8), padding: 15)
      + record(descriptor: 2, mask: 0x40, cookie: 8, name: Array("c".utf8), padding: 15)
      + record(descriptor: 1, mask: 0x80, cookie: 8, name: Array("a".utf8), padding: 15),
    record(descriptor: 2, mask: 0x2000, cookie: 0, name: [], padding: 0)
      + record(descriptor: 2, mask: 0x8000, cookie: 0, name: [], padding: 0)
      + record(descriptor: -1, mask: 0x4000, cookie: 0, name: [], padding: 0),
    record(descriptor: 1, mask: 0x2, cookie: 0, name: Array(repeating: 0x78, count: 255), padding: 1),
    record(descriptor: 1, mask: 0x2, cookie: 0, name: [0xC3, 0x28, 0x2F, 0x2E, 0x2E], padding: 11),
  ]

  /// Decodes, and compares with what the words of the heads say.
  private func check(_ bytes: [UInt8], with decode: Decoder) throws {
    var records: [InotifyRecord] = []
    let used = try bytes.withUnsafeBytes { try decode($0) { records.append($0) } }
    var offset = 0
    for record in records {
      guard bytes.count - offset >= 16 else { throw Fuzzer.Complaint("a record without a whole head") }
      let end = offset + 16 + word(bytes, at: offset + 12)
      guard end <= bytes.count else { throw Fuzzer.Complaint("a name that leads past the end") }
      let name = bytes[(offset + 16)..<end].prefix { $0 != 0 }
      let expected: InotifyRecord.Name =
        name.isEmpty
        ? .none
        : String(validating: name, as: UTF8.self).map { .text(RelativePath($0)) }
          ?? .undecodable(.escaping(name))
      guard record.name == expected, Int(UInt32(bitPattern: record.descriptor)) == word(bytes, at: offset)
      else {
        throw Fuzzer.Complaint("another record than the one that is there: \(record)")
      }
      offset = end
    }
    guard offset == used else { throw Fuzzer.Complaint("\(used) bytes are said to be used, \(offset) are") }
    if bytes.count - offset >= 16, word(bytes, at: offset + 12) <= bytes.count - offset - 16 {
      throw Fuzzer.Complaint("a whole record is left over at \(offset)")
    }
  }

  private func word(_ bytes: [UInt8], at offset: Int) -> Int {
    bytes[offset..<(offset + 4)].reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  private var fuzzer: Fuzzer {
    Fuzzer(
      "inotify records", corpus: Self.corpus,
      tokens: ["\0\0\0\0", "\u{7F}\u{7F}\u{7F}\u{7F}", "..", "/", "a/../b"])
  }

  @Test func `damaged records are decoded as they stand, and never beyond the buffer`() throws {
    try fuzzer.run { try check($0) { try InotifyRecord.decode($0, each: $1) } }
  }

  @Test func `a decoder that trusts a name's length is found out`() throws {
    let trusting: Decoder = { bytes, body in
      let used = try InotifyRecord.decode(bytes, each: body)
      // The last record though its name is cut.
      guard bytes.count - used >= 16 else { return used }
      try body(
        InotifyRecord(
          descriptor: bytes.loadUnaligned(fromByteOffset: used, as: Int32.self),
          mask: InotifyMask(rawValue: bytes.loadUnaligned(fromByteOffset: used + 4, as: UInt32.self))))
      return bytes.count
    }
    #expect(throws: Fuzzer.Finding.self) { try fuzzer.run { try check($0, with: trusting) } }
  }

  @Test func `damaged records never trap the translation`() throws {
    try fuzzer.run { bytes in
      var translation = EventTranslation()
      translation.table.setDescriptor(1, of: WatchTable.root)
      let known = translation.table.attach("a", under: WatchTable.root)
      translation.table.setDescriptor(2, of: known)
      var steps: [TranslationStep] = []
      _ = bytes.withUnsafeBytes { InotifyRecord.decode($0) { translation.translate($0, into: &steps) } }
      translation.settle(into: &steps)
      if translation.isRootLost { return }
      for descriptor in translation.table.descriptors {
        guard let owner = translation.table.owner(of: descriptor), translation.table[owner] != nil else {
          throw Fuzzer.Complaint("descriptor \(descriptor) belongs to no directory")
        }
      }
    }
  }
}
