import Digests
import HTTPTransport
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import Transfers

/// The same transfers against a real server, over HTTP.
@Suite(.enabled(if: ServerUnderTest.fromEnvironment != nil)) struct ServerTransferTests {
  private static let bytes = pattern(11 * mebibyte)

  /// Runs the body with a store and a prefix that nothing else uses, and clears that up.
  private func run(_ body: (any ObjectStore, String, TransferFixture) async throws -> Void) async throws {
    let server = try #require(ServerUnderTest.fromEnvironment)
    try await server.run(under: "transfers") { bucket, prefix async throws in
      try await body(RetryingStore(bucket), prefix, try TransferFixture(budgetBytes: 6 << 20))
    }
  }

  private func upload(
    _ fixture: TransferFixture, _ store: any ObjectStore, _ key: String,
    settings: UploadSettings? = nil, pending: PendingUploads = PendingUploads(),
    beforePublication: @escaping @Sendable () async throws -> Void = {}
  ) async throws -> UploadReceipt {
    try await fixture.uploader(settings, pending: pending, store: store).upload(
      "a", of: fixture.root, to: key, isCloseSeen: true, openFiles: .wait,
      beforePublication: beforePublication)
  }

  private func download(_ fixture: TransferFixture, _ store: any ObjectStore, _ key: String) async throws
    -> DownloadReceipt
  {
    var settings = DownloadSettings()
    settings.rangeBytes = 4 << 20
    let head = try await store.send(HeadObject(key: key))
    return try await Downloader(store: store, resources: fixture.resources, settings: settings).download(
      key, object: RemoteObject(byteCount: head.byteCount, etag: head.etag, lastModified: 0), to: "back",
      of: fixture.root)
  }

  /// In one request and in parts, from memory and streamed: over the fixture's 5 MiB.
  @Test(arguments: [(0, 5), (0, 6), (16, 16)])
  func `a file comes back as it went up`(threshold: Int, part: Int) async throws {
    try await run { store, prefix, fixture in
      try fixture.write("a", Self.bytes)
      var settings = fixture.settings
      settings.singleThreshold = Int64(threshold * mebibyte)
      settings.partBytes = Int64(part * mebibyte)
      let receipt = try await upload(fixture, store, prefix + "a +%", settings: settings)
      #expect(receipt.checksum != .none)
      let back = try await download(fixture, store, prefix + "a +%")
      #expect(back.etag == receipt.etag)
      #expect(try fixture.read("back") == Self.bytes)
    }
  }

  @Test func `an upload that was cut off goes on where it was`() async throws {
    try await run { store, prefix, fixture in
      try fixture.write("a", Self.bytes)
      await #expect(throws: S3Error.self) {
        _ = try await upload(fixture, store, prefix + "a", beforePublication: { throw refusal("test") })
      }
      let pending = PendingUploads()
      try await pending.load(from: store, prefix: prefix)
      let receipt = try await upload(fixture, store, prefix + "a", pending: pending)
      #expect(receipt.partsReused == 3)
      _ = try await download(fixture, store, prefix + "a")
      #expect(try fixture.read("back") == Self.bytes)
    }
  }

  @Test func `an upload that somebody aborts is begun anew`() async throws {
    try await run { store, prefix, fixture in
      try fixture.write("a", Self.bytes)
      let key = prefix + "a"
      let isFirst = Latch()
      let receipt = try await upload(
        fixture, store, key,
        beforePublication: {
          guard await isFirst.openFirst() else { return }
          for upload in try await store.send(ListMultipartUploads(prefix: key)).uploads {
            _ = try await store.send(AbortMultipartUpload(key: key, uploadID: upload.uploadID))
          }
        })
      #expect(receipt.parts == 3)
      _ = try await download(fixture, store, key)
      #expect(try fixture.read("back") == Self.bytes)
    }
  }

  @Test func `an object is put together from parts of another`() async throws {
    try await run { store, prefix, fixture in
      try fixture.write("a", Self.bytes)
      let etag = try await upload(fixture, store, prefix + "from").etag
      let copy = ServerCopy(
        store: store, slots: fixture.resources.slots, pending: PendingUploads(), wallClock: FakeClock.system,
        largestSingle: 5 << 20, partBytes: 5 << 20)
      let receipt = try await copy.copy(
        CopySource(bucket: store.bucket, key: prefix + "from", ifMatch: etag),
        byteCount: Int64(Self.bytes.count), to: prefix + "to")
      #expect(receipt.parts == 3)
      _ = try await download(fixture, store, prefix + "to")
      #expect(try fixture.read("back") == Self.bytes)
    }
  }

  @Test func `what is left of a file that is gone is aborted at the end, and of another writer told`()
    async throws
  {
    try await run { store, prefix, fixture in
      try fixture.write("a", Self.bytes)
      let pending = PendingUploads()
      let foreign = try await store.send(CreateMultipartUpload(key: prefix + "theirs")).uploadID
      try await pending.load(from: store, prefix: prefix)
      await #expect(throws: S3Error.self) {
        _ = try await upload(
          fixture, store, prefix + "a", pending: pending, beforePublication: { throw refusal("test") })
      }
      let settlement = await pending.settle(
        store, prefix: prefix, isUnderPrefix: { _ in true }, isResumable: { _ in false })
      #expect(settlement.aborted.map(\.key) == [prefix + "a"])
      #expect(settlement.left == [.init(key: prefix + "theirs", uploadID: foreign, reason: .foreign)])
      let left = try await store.send(ListMultipartUploads(prefix: prefix, after: nil)).uploads
      #expect(left.map(\.uploadID) == [foreign])
      _ = try await store.send(AbortMultipartUpload(key: prefix + "theirs", uploadID: foreign))
    }
  }

  /// As the AWS tools leave them: parts of 8 MiB, and a CRC-32 of the parts' CRC-32s where the server has it.
  @Test(arguments: [true, false])
  func `another client's multipart object is held against the digest of its parts`(isChecked: Bool)
    async throws
  {
    try await run { store, prefix, fixture in
      try fixture.write("a", Self.bytes)
      let key = prefix + "theirs"
      let headers: HTTPHeaders =
        isChecked ? ["x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"] : [:]
      let create = CreateMultipartUpload(key: key, checksum: .none, extraHeaders: headers)
      let uploadID = try await store.send(create).uploadID
      var parts: [CompleteMultipartUpload.Part] = []
      for (number, part) in [Self.bytes[..<(8 << 20)], Self.bytes[(8 << 20)...]].enumerated() {
        let crc = isChecked ? CRC32(Array(part)) : nil
        let answer = try await store.send(
          UploadPart(
            key: key, uploadID: uploadID, number: number + 1, body: BytesBody(Array(part)), checksumCRC32: crc
          ))
        parts.append(.init(number: number + 1, etag: answer.etag, checksumCRC32: crc))
      }
      _ = try await store.send(CompleteMultipartUpload(key: key, uploadID: uploadID, parts: parts))
      let receipt = try await download(fixture, store, key)
      #expect(try fixture.read("back") == Self.bytes)
      #expect([.md5Parts, .crc32Parts, .crc32].contains(receipt.checksum))
    }
  }
}
