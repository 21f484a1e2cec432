import Digests
import Foundation
import HTTPTransport
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import Transfers

@Suite struct ResumedDownloadTests {
  private static let bytes = pattern(3 * mebibyte + 5)

  private let fixture: TransferFixture
  private let downloader: Downloader
  private let object: RemoteObject

  /// One range after the other, of which the third fails.
  init() async throws {
    fixture = try TransferFixture(workers: 1)
    var settings = DownloadSettings()
    settings.rangeBytes = 1 << 20
    downloader = Downloader(store: fixture.store, resources: fixture.resources, settings: settings)
    let put = PutObject(key: "a", body: BytesBody(Self.bytes), checksumCRC32: CRC32(Self.bytes))
    let etag = try await fixture.store.send(put).etag
    object = RemoteObject(byteCount: Int64(Self.bytes.count), etag: etag, lastModified: 0)
    await fixture.store.inject { call, moment in
      call.operation == "GetObject" && call.ordinal == 3 && moment == .beforeEffect
        ? refusal("GetObject", code: "InternalError", status: 500) : nil
    }
    do {
      _ = try await downloader.download("a", object: object, to: "a", of: fixture.root)
      Issue.record("the third range was to fail")
    } catch is S3Error {}
    await fixture.store.inject(nil)
    await fixture.store.forgetCalls()
  }

  private var partialName: String { PartialFile.name(for: "a") }

  @Test(.promise("XFER-1"))
  func `the ranges that arrived are kept, and the rest is fetched`() async throws {
    #expect(try fixture.names == [partialName])
    let receipt = try await downloader.download("a", object: object, to: "a", of: fixture.root)
    #expect(receipt.partsReused == 2)
    #expect(receipt.parts == 4)
    #expect(receipt.checksum == .crc32)
    #expect(await fixture.store.count(of: "GetObject") == 2)
    #expect(try fixture.read("a") == Self.bytes)
    #expect(try fixture.names == ["a"])
  }

  @Test(.promise("XFER-1"))
  func `a range that is not on the disk as it was recorded is fetched again`() async throws {
    // As after a power failure.
    try fixture.overwrite(partialName, [UInt8](repeating: 0, count: 100), at: 5_000)
    let receipt = try await downloader.download("a", object: object, to: "a", of: fixture.root)
    #expect(receipt.partsReused == 1)
    #expect(try fixture.read("a") == Self.bytes)
  }

  @Test func `another version of the object begins anew`() async throws {
    let other = pattern(Self.bytes.count, seed: 77)
    let put = PutObject(key: "a", body: BytesBody(other), checksumCRC32: CRC32(other))
    let etag = try await fixture.store.send(put).etag
    let replaced = RemoteObject(byteCount: object.byteCount, etag: etag, lastModified: 0)
    let receipt = try await downloader.download("a", object: replaced, to: "a", of: fixture.root)
    #expect(receipt.partsReused == 0)
    #expect(try fixture.read("a") == other)
  }

  @Test func `a cancelled download leaves what it has, and one that S3 replaced leaves nothing`() async throws
  {
    let (reached, never) = (Latch(), Latch())
    await fixture.store.hold { call in
      guard call.operation == "GetObject" else { return }
      await reached.open()
      await never.wait()
    }
    let task = Task { [downloader, object, fixture] in
      try await downloader.download("a", object: object, to: "a", of: fixture.root)
    }
    await reached.wait()
    task.cancel()
    await never.open()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(try fixture.names == [partialName])
    await fixture.store.hold { [store = fixture.store] call in
      if call.operation == "GetObject" { await store.place("a", [1]) }
    }
    await #expect(throws: S3Error.self) {
      try await downloader.download("a", object: object, to: "a", of: fixture.root)
    }
    #expect(try fixture.names.isEmpty)
  }
}

@Suite struct RangeLedgerTests {
  private static let object = RemoteObject(byteCount: 95, etag: "é-tag", lastModified: 0)

  private static func full() -> RangeLedger {
    var ledger = RangeLedger(object: object, rangeBytes: 10)
    for index in 0..<10 { ledger.note(CRC32([UInt8](repeating: 1, count: index == 9 ? 5 : 10)), for: index) }
    return ledger
  }

  @Test func `ranges cover the object, the last one is shorter`() {
    let ledger = RangeLedger(object: Self.object, rangeBytes: 10)
    #expect(ledger.rangeCount == 10)
    #expect(ledger.extent(of: 0) == (0, 10))
    #expect(ledger.extent(of: 9) == (90, 5))
  }

  @Test func `ranges grow so that ten thousand suffice`() {
    let huge = RemoteObject(byteCount: 53_687_091_200_000, etag: "e", lastModified: 0)
    let ledger = RangeLedger(object: huge, rangeBytes: 16 << 20)
    #expect(ledger.rangeCount == 10_000)
  }

  @Test func `the checksum of the whole comes with the last range`() {
    var ledger = Self.full()
    #expect(ledger.whole == CRC32([UInt8](repeating: 1, count: 95)))
    ledger.forget(4)
    #expect(ledger.whole == nil)
  }

  @Test func `a record is read back`() {
    var ledger = RangeLedger(object: Self.object, rangeBytes: 10)
    ledger.adopt(Self.full().record)
    #expect(ledger == Self.full())
  }

  @Test(arguments: [
    RemoteObject(byteCount: 95, etag: "other", lastModified: 0),
    RemoteObject(byteCount: 96, etag: "é-tag", lastModified: 0),
    RemoteObject(byteCount: 95, etag: "e\u{301}-tag", lastModified: 0),
  ])
  func `a record of another version is not taken over`(object: RemoteObject) {
    var ledger = RangeLedger(object: object, rangeBytes: 10)
    ledger.adopt(Self.full().record)
    #expect(ledger.checksums.isEmpty)
  }

  @Test func `nor is one in other ranges, or of an object without a tag`() {
    var other = RangeLedger(object: Self.object, rangeBytes: 11)
    other.adopt(Self.full().record)
    #expect(other.checksums.isEmpty)
    let untagged = RemoteObject(byteCount: 95, etag: "", lastModified: 0)
    var source = RangeLedger(object: untagged, rangeBytes: 10)
    source.note(CRC32(), for: 0)
    var target = RangeLedger(object: untagged, rangeBytes: 10)
    target.adopt(source.record)
    #expect(target.checksums.isEmpty)
  }

  @Test func `a record that is cut or too long is taken as far as it makes sense`() {
    let record = Self.full().record
    for length in 0..<record.count {
      var ledger = RangeLedger(object: Self.object, rangeBytes: 10)
      ledger.adopt(Array(record[..<length]))
      #expect(ledger.checksums.allSatisfy { Self.full().checksums[$0.key] == $0.value })
    }
    var ledger = RangeLedger(object: Self.object, rangeBytes: 10)
    ledger.adopt(record + [255, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])
    #expect(ledger == Self.full())
  }
}
