import Digests
import Foundation
import HTTPTransport
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import Transfers

@Suite struct WildSizeTests {
  @Test(arguments: [Int64.max, Int64.max - 1, Int64(1) << 62])
  func `an object of a size that no disk holds fails alone`(byteCount: Int64) async throws {
    let fixture = try TransferFixture()
    let downloader = Downloader(store: fixture.store, resources: fixture.resources)
    await fixture.store.place("a", [1])
    let object = RemoteObject(byteCount: byteCount, etag: "", lastModified: 0)
    await #expect(throws: (any Error).self) {
      _ = try await downloader.download("a", object: object, to: "a", of: fixture.root)
    }
    #expect(try !fixture.names.contains("a"))
    let ledger = RangeLedger(object: object, rangeBytes: 1 << 20)
    #expect(ledger.rangeCount <= 10_000)
    let (offset, last) = ledger.extent(of: ledger.rangeCount - 1)
    #expect(offset.addingReportingOverflow(last) == (byteCount, false))
  }
}

@Suite struct DownloadTests {
  private static let rangeBytes: Int64 = 1 << 20

  private func downloader(_ fixture: TransferFixture, store: (any ObjectStore)? = nil) -> Downloader {
    var settings = DownloadSettings()
    settings.rangeBytes = Self.rangeBytes
    return Downloader(store: store ?? fixture.store, resources: fixture.resources, settings: settings)
  }

  /// Puts an object there with the checksum that an upload leaves, and tells of it as a listing would.
  private func publish(_ bytes: [UInt8], as key: String, in store: FakeObjectStore) async throws
    -> RemoteObject
  {
    let answer = try await store.send(
      PutObject(key: key, body: BytesBody(bytes), checksumCRC32: CRC32(bytes)))
    let head = try await store.send(HeadObject(key: key))
    await store.forgetCalls()
    return RemoteObject(
      byteCount: Int64(bytes.count), etag: answer.etag, lastModified: head.lastModified ?? 0)
  }

  @Test(.promise("DOWN-8"), arguments: [0, 1, 64 << 10, (64 << 10) + 1, 1 << 20])
  func `a small object comes whole and is dated by S3`(byteCount: Int) async throws {
    let fixture = try TransferFixture()
    let object = try await publish(pattern(byteCount), as: "a/b", in: fixture.store)
    let receipt = try await downloader(fixture).download("a/b", object: object, to: "x/y", of: fixture.root)
    #expect(try fixture.read("x/y") == pattern(byteCount))
    #expect(try fixture.root.look(at: "x/y")?.stamp.modified == object.lastModified)
    #expect(receipt.parts == 1)
    #expect(receipt.checksum == .crc32)
    #expect(await fixture.store.calls.map(\.operation) == ["GetObject"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path + "/x") == ["y"])
  }

  @Test func `a large object comes in ranges at once`() async throws {
    // The fifth slot is kept for what is whole.
    let fixture = try TransferFixture(workers: 5)
    let bytes = pattern(3 * mebibyte + 5)
    let object = try await publish(bytes, as: "a", in: fixture.store)
    let all = Meeting(of: 4)
    await fixture.store.hold { if $0.operation == "GetObject" { await all.join() } }
    let receipt = try await downloader(fixture).download("a", object: object, to: "a", of: fixture.root)
    #expect(try fixture.read("a") == bytes)
    #expect(receipt.parts == 4)
    #expect(receipt.checksum == .crc32)
  }

  @Test(.promise("DOWN-4"), arguments: [3, 2 * mebibyte])
  func `an object without a checksum is held against its MD5`(byteCount: Int) async throws {
    let fixture = try TransferFixture()
    await fixture.store.place("a", pattern(byteCount))
    let head = try await fixture.store.send(HeadObject(key: "a"))
    let object = RemoteObject(byteCount: head.byteCount, etag: head.etag, lastModified: 0)
    let receipt = try await downloader(fixture).download("a", object: object, to: "a", of: fixture.root)
    #expect(receipt.checksum == .md5)
  }

  @Test func `an object replaced since it was listed is not mixed`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", [42])
    let small = try await publish([1, 2, 3], as: "a", in: fixture.store)
    await fixture.store.place("a", [4, 5, 6])
    let error = await #expect(throws: S3Error.self) {
      try await downloader(fixture).download("a", object: small, to: "a", of: fixture.root)
    }
    #expect(error?.status == 412)
    // In ranges, and in the middle of them.
    let large = try await publish(pattern(3 * mebibyte), as: "a", in: fixture.store)
    await fixture.store.hold { [store = fixture.store] call in
      if call.operation == "GetObject", call.ordinal == 3 {
        await store.place("a", pattern(3 * mebibyte, seed: 9))
      }
    }
    await #expect(throws: S3Error.self) {
      try await downloader(fixture).download("a", object: large, to: "a", of: fixture.root)
    }
    #expect(try fixture.read("a") == [42])
    #expect(try fixture.names == ["a"])
  }

  @Test(.promise("XFER-10", "DOWN-2", "DOWN-4"), arguments: [1_000, 100_000, 3 << 20])
  func `bytes that differ from S3's checksum leave the target as it was`(byteCount: Int) async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", [42])
    let object = try await publish(pattern(byteCount), as: "a", in: fixture.store)
    let store = DamagingStore(fixture.store)
    await #expect(throws: DownloadMismatch.self) {
      try await downloader(fixture, store: store).download("a", object: object, to: "a", of: fixture.root)
    }
    #expect(try fixture.read("a") == [42])
    #expect(try fixture.names == ["a"])
  }

  @Test func `an object shorter than announced is no download`() async throws {
    let fixture = try TransferFixture()
    var object = try await publish(pattern(1_000), as: "a", in: fixture.store)
    object.byteCount = 2_000
    await #expect(throws: DownloadMismatch.self) {
      try await downloader(fixture).download("a", object: object, to: "a", of: fixture.root)
    }
    object.byteCount = 500
    await #expect(throws: (any Error).self) {
      try await downloader(fixture).download("a", object: object, to: "a", of: fixture.root)
    }
    object.byteCount = 5 << 20
    await #expect(throws: DownloadMismatch.self) {
      try await downloader(fixture).download("a", object: object, to: "a", of: fixture.root)
    }
    #expect(try fixture.names.isEmpty)
  }

  @Test func `a request that is sent again writes over what the first one brought`() async throws {
    let fixture = try TransferFixture()
    let bytes = pattern(2 * mebibyte)
    let object = try await publish(bytes, as: "a", in: fixture.store)
    await fixture.store.inject { call, moment in
      guard call.operation == "GetObject", call.ordinal <= 2, moment == .afterEffect else { return nil }
      var error = refusal("GetObject")
      error.isRetryable = true
      return error
    }
    let store = RetryingStore(fixture.store, pause: { _ in })
    _ = try await downloader(fixture, store: store).download("a", object: object, to: "a", of: fixture.root)
    #expect(try fixture.read("a") == bytes)
  }
}

/// Turns one byte over in every body, as bad memory would.
struct DamagingStore: ObjectStore {
  private let base: any ObjectStore

  init(_ base: any ObjectStore) { self.base = base }

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    guard var get = operation as? GetObject else { return try await base.send(operation) }
    get.sink = get.sink.map(DamagingSink.init)
    var answer = try await base.send(get)
    if let first = answer.body.first { answer.body[0] = ~first }
    guard let output = answer as? Operation.Output else {
      throw refusal("GetObject", code: "WrongOutput")
    }
    return output
  }
}
