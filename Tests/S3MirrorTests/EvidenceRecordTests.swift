import MirrorModel
import TestSupport
import Testing

@testable import S3Mirror

/// The bytes of one record of evidence.
@Suite struct EvidenceRecordTests: EvidenceFiles {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  @Test(
    arguments: [
      "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef-1",
      "0123456789abcdef0123456789abcdef-10000", "0123456789abcdef0123456789abcdef-0",
      "0123456789abcdef0123456789abcdef-01", "0123456789ABCDEF0123456789ABCDEF",
      "0123456789abcdef0123456789abcdef-", "0123456789abcdef0123456789abcdefg", "short", "", "é-1",
      "0123456789abcdef0123456789abcdef-99999999999999999999",
    ])
  func `an ETag is read back as it was written`(etag: String) {
    for entry in [
      EvidenceEntry(etag: etag),
      EvidenceEntry(
        etag: etag, stamp: .init(inode: .max, size: .max, modified: .min, changed: -1), crc32: .max),
    ] {
      let bytes = EvidenceBody.bytes(of: entry)
      #expect(EvidenceBody.entry(in: bytes, at: bytes.indices) == entry)
    }
  }

  private func blocks(_ count: Int) throws -> ContentBlocks {
    let digests = (0..<count).map {
      ContentBlocks.Digest(crc32: .max - UInt32($0), md5: Array(repeating: UInt8($0 & 0xFF), count: 16))
    }
    return try #require(
      ContentBlocks(BlockGrid(blockBytes: 16 << 20, byteCount: Int64(count) << 24 - 1), digests: digests))
  }

  @Test(.promise("XFER-17"), arguments: [1, 700, 701])
  func `the blocks of an object are read back if they fit into a record`(count: Int) throws {
    let long = RelativePath(String(repeating: "p", count: 1_024))
    var entry = EvidenceEntry(
      etag: String(repeating: "0a", count: 16) + "-10000",
      stamp: .init(inode: .max, size: .max, modified: .min, changed: -1), crc32: .max,
      blocks: try blocks(count))
    let store = store()
    store.note(long, entry)
    store.note("b", EvidenceEntry(etag: "b"))
    store.close()
    if count > EvidenceBody.mostBlocks { entry.blocks = nil }
    let next = self.store()
    #expect(next.entry(of: long) == entry)
    #expect(next.entry(of: "b") == EvidenceEntry(etag: "b"))
    #expect(next.entry(of: "a") == nil)
    #expect(next.entry(of: "z") == nil)
  }

  @Test func `malformed blocks are no evidence`() throws {
    let bytes = EvidenceBody.bytes(of: EvidenceEntry(etag: "t", blocks: try blocks(2)))
    for count in 0..<bytes.count {
      #expect(EvidenceBody.entry(in: Array(bytes[..<count]), at: 0..<count) == nil)
    }
    for index in 1..<bytes.count {
      var changed = bytes
      changed[index] ^= 0xFF
      // Whatever is read, it does not trap.
      _ = EvidenceBody.entry(in: changed, at: changed.indices)
    }
  }

  @Test(.promise("CHG-16"))
  func `no bytes end the program when they are read as a record`() throws {
    let entry = EvidenceEntry(
      etag: String(repeating: "0a", count: 16) + "-3",
      stamp: .init(inode: 1, size: 2, modified: 3, changed: 4), crc32: 5)
    let corpus = [EvidenceBody.bytes(of: entry), EvidenceBody.bytes(of: EvidenceEntry(etag: "é")), [0]]
    try Fuzzer("evidence", corpus: corpus, tokens: ["\u{f}", "\u{1}"]).run { bytes in
      if let entry = EvidenceBody.entry(in: bytes, at: bytes.indices),
        EvidenceBody.entry(in: EvidenceBody.bytes(of: entry), at: EvidenceBody.bytes(of: entry).indices)
          != entry
      {
        throw Fuzzer.Complaint("\(entry) is read back as something else")
      }
    }
  }
}
