import Digests
import Foundation
import HTTPTransport
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import Transfers

/// Multipart objects of other clients: their digests are made of their parts' digests, of unknown sizes.
@Suite struct CompositeTagTests {
  private static let digest = "0123456789abcdef0123456789abcdef"

  @Test(arguments: [
    ("0123456789abcdef0123456789abcdef-3", 3), ("0123456789ABCDEF0123456789abcdef-10000", 10_000),
  ])
  func `a tag of parts is read`(etag: String, partCount: Int) throws {
    let tag = try #require(CompositeTag(etag: etag))
    #expect(tag.partCount == partCount)
    #expect(tag.digest == .md5(Self.digest))
  }

  @Test(arguments: [
    "", "-", "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef-0",
    "0123456789abcdef0123456789abcdef-10001", "0123456789abcdef0123456789abcdef-1-2", "xyz-2",
    "0123456789abcdef0123456789abcdef--2",
    "0123456789abcdef0123456789abcdef-99999999999999999999",
  ])
  func `what is no tag of parts is none`(etag: String) {
    #expect(CompositeTag(etag: etag) == nil)
  }

  /// What tools make of a file, each by its own rule: its bytes and those of a part.
  private static let cuts: [(Int64, Int64)] = [
    (100_000_000, 8_388_608), (100_000_000, 5_242_880), (6_000_000_000, 67_108_864),
    (1_073_741_824, 15_728_640), (52_428_801, 5_242_880), (1_099_511_627_776, 134_217_728),
    (700_000_000_000, 70_000_000), (20_000_001, 10_000_000), (1_000_003, 500_002), (11_534_336, 6_291_456),
    (1, 1), (21_474_836_480, 1_073_741_824),
  ]

  @Test(.promise("DOWN-5"), arguments: cuts)
  func `the sizes that uploaders use are among those that are tried`(byteCount: Int64, partBytes: Int64)
    throws
  {
    let count = (byteCount + partBytes - 1) / partBytes
    let tag = try #require(CompositeTag(etag: "\(Self.digest)-\(count)"))
    let sizes = tag.partSizes(of: byteCount)
    #expect(sizes.contains { $0 == partBytes || count == 1 })
    #expect(sizes.count <= 10)
  }

  @Test func `every size that is tried gives the number of parts`() throws {
    var random = SplitMix64(seed: 12)
    for _ in 0..<10_000 {
      let byteCount = Int64.random(in: 0...(1 << Int64.random(in: 1...46)), using: &random)
      let partCount = Int.random(in: 1...10_000, using: &random)
      let tag = try #require(CompositeTag(etag: "\(Self.digest)-\(partCount)"))
      for size in tag.partSizes(of: byteCount) where byteCount > 0 {
        #expect(tag.gives(size, of: byteCount), "\(size) of \(byteCount) in \(partCount)")
      }
    }
  }

  // MARK: Downloads

  private func parts(_ partBytes: Int, of byteCount: Int) -> [Int] {
    stride(from: 0, to: byteCount, by: partBytes).map { min(partBytes, byteCount - $0) }
  }

  /// Of the small object, the one in one response and the one in ranges.
  private static let sizes = [20_000, 900_000, 3 * mebibyte + 5]

  private func download(
    _ fixture: TransferFixture, store: (any ObjectStore)? = nil, _ etag: String, byteCount: Int
  ) async throws -> DownloadReceipt {
    var settings = DownloadSettings()
    settings.rangeBytes = 1 << 20
    let downloader = Downloader(
      store: store ?? fixture.store, resources: fixture.resources, settings: settings)
    return try await downloader.download(
      "a", object: RemoteObject(byteCount: Int64(byteCount), etag: etag, lastModified: 0), to: "a",
      of: fixture.root)
  }

  @Test(.promise("DOWN-4"), arguments: sizes, [ForeignChecksum.none, .compositeCRC32])
  func `a download is held against the digest of its parts`(byteCount: Int, checksum: ForeignChecksum)
    async throws
  {
    let fixture = try TransferFixture()
    for partBytes in [1, 2, 3].map({ (byteCount + $0 - 1) / $0 }) {
      let etag = await fixture.store.place(
        "a", pattern(byteCount), partSizes: parts(partBytes, of: byteCount), checksum: checksum)
      let receipt = try await download(fixture, etag, byteCount: byteCount)
      #expect(receipt.checksum == (checksum == .none ? .md5Parts : .crc32Parts))
      #expect(try fixture.read("a") == pattern(byteCount))
    }
  }

  @Test(.promise("DOWN-5"), arguments: sizes, [ForeignChecksum.none, .compositeCRC32])
  func `a part size that nobody would guess is asked for`(byteCount: Int, checksum: ForeignChecksum)
    async throws
  {
    let fixture = try TransferFixture()
    let partBytes = byteCount / 2 + 4_321
    let etag = await fixture.store.place(
      "a", pattern(byteCount), partSizes: parts(partBytes, of: byteCount), checksum: checksum)
    #expect(try await download(fixture, etag, byteCount: byteCount).checksum != .size)
  }

  @Test(.promise("DOWN-6"), arguments: sizes, [ForeignChecksum.none, .compositeCRC32])
  func `a body that was damaged on its way is fetched again`(byteCount: Int, checksum: ForeignChecksum)
    async throws
  {
    let fixture = try TransferFixture()
    let etag = await fixture.store.place(
      "a", pattern(byteCount), partSizes: parts((byteCount + 1) / 2, of: byteCount), checksum: checksum)
    let store = FirstBodyDamaged(fixture.store)
    let receipt = try await download(fixture, store: store, etag, byteCount: byteCount)
    #expect(try fixture.read("a") == pattern(byteCount))
    #expect(receipt.checksum == (checksum == .none ? .md5Parts : .crc32Parts))
    #expect(receipt.attempts == 2)
    #expect(try fixture.names == ["a"])
  }

  @Test(arguments: sizes)
  func `a damaged body of an object with a checksum of its own is fetched again`(byteCount: Int) async throws
  {
    let fixture = try TransferFixture()
    let bytes = pattern(byteCount)
    let put = PutObject(key: "a", body: BytesBody(bytes), checksumCRC32: CRC32(bytes))
    let etag = try await fixture.store.send(put).etag
    let store = FirstBodyDamaged(fixture.store)
    let receipt = try await download(fixture, store: store, etag, byteCount: byteCount)
    #expect(try fixture.read("a") == bytes)
    #expect(receipt.checksum == .crc32)
  }

  @Test(.promise("DOWN-5"))
  func `parts of uneven sizes are not taken for damage, and are told by their size alone`() async throws {
    let fixture = try TransferFixture()
    let bytes = pattern(900_000)
    let etag = await fixture.store.place(
      "a", bytes, partSizes: [300_000, 200_000, 400_000], checksum: .none)
    #expect(try await download(fixture, etag, byteCount: 900_000).checksum == .size)
    #expect(try fixture.read("a") == bytes)
  }

  @Test(.promise("DOWN-6"))
  func `a bucket whose tags are no digests costs one download more, not one for each object`()
    async throws
  {
    let fixture = try TransferFixture()
    // An ETag that is no digest, and no checksum beside it.
    let etag = await fixture.store.place(
      "a", pattern(900_000), partSizes: [500_000, 400_000], checksum: .compositeCRC32)
    await fixture.store.forgetChecksum(of: "a")
    for requests in [2, 3] {
      #expect(try await download(fixture, etag, byteCount: 900_000).checksum == .size)
      #expect(await fixture.store.count(of: "GetObject") == requests)
    }
  }

  @Test(.promise("DOWN-5"))
  func `a local file is compared with such an object without a download`() throws {
    let fixture = try TransferFixture()
    let bytes = pattern(11 * mebibyte)
    try fixture.write("a", bytes)
    let file = try #require(try fixture.root.open("a"))
    let parts = parts(5 * mebibyte, of: bytes.count).reduce(into: (offset: 0, digests: [UInt8]())) {
      sum, size in
      sum.digests += md5(Array(bytes[sum.offset..<sum.offset + size]))
      sum.offset += size
    }
    let tag = try #require(CompositeTag(etag: hexadecimal(md5(parts.digests)) + "-3"))
    #expect(try isContent(file, of: tag))
    try fixture.overwrite("a", [~bytes[0]], at: 0)
    #expect(try !isContent(file, of: tag))
  }
}

/// Turns one byte over in the first body, as a network would.
private final class FirstBodyDamaged: ObjectStore {
  private let base: any ObjectStore
  private let isFirst = Mutex(true)

  init(_ base: any ObjectStore) { self.base = base }

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    guard operation is GetObject else { return try await base.send(operation) }
    let isFirst = isFirst.withLock { isFirst in
      defer { isFirst = false }
      return isFirst
    }
    return isFirst ? try await DamagingStore(base).send(operation) : try await base.send(operation)
  }
}
