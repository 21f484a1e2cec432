import Digests
import HTTPTransport
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import Transfers

/// A record that an earlier attempt left is not to be believed: whatever it says, the download ends with the object's bytes.
@Suite struct RangeLedgerFuzzTests {
  private static let object = RemoteObject(byteCount: 5 << 20, etag: "0123456789abcdef", lastModified: 0)

  private static var empty: RangeLedger { RangeLedger(object: object, rangeBytes: 1 << 20) }

  private static func ledger(_ indices: some Sequence<Int>) -> RangeLedger {
    var ledger = empty
    for index in indices { ledger.note(CRC32(value: UInt32(index) &* 0x9E37_79B9), for: index) }
    return ledger
  }

  @Test func `a damaged record names only ranges of the object`() throws {
    let corpus = [Self.ledger([]), Self.ledger([3]), Self.ledger(0..<5)].map(\.record)
    var taken = 0
    try Fuzzer("range ledger", corpus: corpus, tokens: ["\u{1}\0\0\0", Self.object.etag]).run { record in
      var ledger = Self.empty
      ledger.adopt(record)
      if !ledger.checksums.isEmpty { taken += 1 }
      guard ledger.checksums.keys.allSatisfy({ (0..<ledger.rangeCount).contains($0) }) else {
        throw Fuzzer.Complaint("took \(ledger.checksums.keys)")
      }
    }
    #expect(taken >= 2)
  }

  /// A record whose own checksum is right, of a ledger that is not.
  @Test(arguments: 0..<10 as Range<UInt64>)
  func `a download that goes on from a false record is the object's all the same`(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let bytes = pattern(3 * mebibyte + 5)
    let fixture = try TransferFixture()
    let put = PutObject(key: "a", body: BytesBody(bytes), checksumCRC32: CRC32(bytes))
    let etag = try await fixture.store.send(put).etag
    let object = RemoteObject(byteCount: Int64(bytes.count), etag: etag, lastModified: 0)
    var settings = DownloadSettings()
    settings.rangeBytes = 1 << 20
    var ledger = RangeLedger(object: object, rangeBytes: settings.rangeBytes)
    for index in 0..<ledger.rangeCount where random.below(2) == 0 {
      ledger.note(CRC32(value: UInt32.random(in: 0 ... .max, using: &random)), for: index)
    }
    let partial = try PartialFile(root: fixture.root, target: "a", byteCount: object.byteCount)
    try partial.record(progress: ledger.record)
    partial.release()
    let downloader = Downloader(store: fixture.store, resources: fixture.resources, settings: settings)
    let receipt = try await downloader.download("a", object: object, to: "a", of: fixture.root)
    #expect(try fixture.read("a") == bytes)
    #expect(receipt.partsReused == 0)
    #expect(receipt.checksum == .crc32)
  }
}
