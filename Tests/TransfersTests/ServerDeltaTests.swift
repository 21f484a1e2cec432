import Digests
import HTTPTransport
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

/// Deltas against a real server, over HTTP.
@Suite(.enabled(if: ServerUnderTest.fromEnvironment != nil)) struct ServerDeltaTests {
  private func download(_ key: String, _ store: any ObjectStore, _ fixture: TransferFixture) async throws
    -> [UInt8]
  {
    let head = try await store.send(HeadObject(key: key))
    let object = RemoteObject(byteCount: head.byteCount, etag: head.etag, lastModified: 0)
    let downloader = Downloader(store: store, resources: fixture.resources, settings: DownloadSettings())
    _ = try await downloader.download(key, object: object, to: "back", of: fixture.root)
    return try fixture.read("back")
  }

  @Test(.promise("XFER-14", "XFER-15"), arguments: [5, 16])
  func `a file that grows and changes is the object each time, and little of it is sent`(threshold: Int64)
    async throws
  {
    let server = try #require(ServerUnderTest.fromEnvironment)
    try await server.run(under: "deltas") { bucket, prefix async throws in
      let store = RetryingStore(bucket)
      let fixture = try TransferFixture()
      var settings = fixture.settings
      settings.singleThreshold = threshold << 20
      settings.partBytes = threshold << 20
      let notices = Mutex<[String]>([])
      settings.whenDeltasEnd = { reason in notices.withLock { $0.append(reason) } }
      let (uploader, key) = (fixture.uploader(settings, store: store), prefix + "a +%")
      var (content, known) = (pattern(7 * mebibyte), nil as KnownObject?)
      for round in 0..<6 {
        try fixture.write("a", content)
        let receipt = try await uploader.upload(
          "a", of: fixture.root, to: key, isCloseSeen: true, openFiles: .wait, over: known.map { [$0] } ?? [])
        #expect(try await download(key, store, fixture) == content)
        let head = try await store.send(HeadObject(key: key))
        #expect(head.fullObjectCRC32 == CRC32(content))
        #expect(receipt.checksum == .crc32)
        // With parts of 16 MiB the change of the fourth round is in the only block.
        let isOneBlock = threshold == 16 && round == 4
        #expect((receipt.bytesCopied > 0) == (round > 0 && !isOneBlock))
        known = KnownObject(etag: receipt.etag, blocks: try #require(receipt.blocks))
        if round == 3 { content[6 * mebibyte + 7] &+= 1 }
        content += pattern(round * 2_000_000 + 10, seed: UInt8(round))
      }
      #expect(notices.withLock { $0 } == [])
      // Another program writes the object: the whole file is sent.
      _ = try await store.send(PutObject(key: key, body: BytesBody(pattern(6 * mebibyte))))
      let receipt = try await uploader.upload(
        "a", of: fixture.root, to: key, isCloseSeen: true, openFiles: .wait, over: known.map { [$0] } ?? [])
      #expect(receipt.bytesCopied == 0)
      #expect(try await download(key, store, fixture) == (try fixture.read("a")))
      #expect(notices.withLock { $0 } == [])
    }
  }
}
