import Digests
import Foundation
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

/// Of a file that changed only the changes are sent.
@Suite struct DeltaUploadTests {
  private static let bytes = pattern(23 * mebibyte)

  @Test(.promise("XFER-14"))
  func `of a file that grew the end is sent, and the rest is copied by one request`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    let old = try #require(await fixture.store.object("a"))
    try fixture.append(pattern(mebibyte, seed: 9))
    let receipt = try await fixture.publish()
    #expect(try await fixture.isPublished())
    #expect(receipt.bytesCopied == 23 * Int64(mebibyte))
    #expect(receipt.parts == 2)
    #expect(receipt.checksum == .crc32)
    let object = try #require(await fixture.store.object("a"))
    #expect(object.checksumCRC32 == CRC32(try fixture.files.read("a")))
    let requests = await fixture.store.requests.suffix(4)
    #expect(
      Set(requests.map(\.operation))
        == ["CreateMultipartUpload", "UploadPartCopy", "UploadPart", "CompleteMultipartUpload"])
    let copy = try #require(requests.first { $0.operation == "UploadPartCopy" })
    #expect(copy.headers["x-amz-copy-source-if-match"] == "\"\(old.etag)\"")
    #expect(copy.headers["x-amz-copy-source-range"] == "bytes=0-\(23 * mebibyte - 1)")
    let sent = try #require(requests.first { $0.operation == "UploadPart" })
    #expect(sent.headers["x-amz-checksum-crc32"] == CRC32(pattern(mebibyte, seed: 9)).base64)
  }

  @Test(.promise("XFER-14"))
  func `of a file that was written to in place the changed parts are sent`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    try fixture.files.overwrite("a", [1, 2, 3], at: 11 << 20)
    let receipt = try await fixture.publish()
    #expect(try await fixture.isPublished())
    #expect(receipt.bytesCopied == 18 * Int64(mebibyte))
    #expect(await fixture.copies == 2)
    #expect(await fixture.sends == 1)
  }

  @Test(.promise("XFER-15"))
  func `a block that this process has compared before costs no MD5`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    try fixture.append(pattern(mebibyte, seed: 9))
    try await fixture.publish()
    // If an MD5 were compared, no block would count as unchanged.
    fixture.forgetMD5s(keepingKeyed: true)
    try fixture.append(pattern(mebibyte, seed: 10))
    #expect(try await fixture.publish().bytesCopied == 24 * Int64(mebibyte))
    #expect(try await fixture.isPublished())
    try fixture.files.overwrite("a", [1, 2, 3], at: 11 << 20)
    #expect(try await fixture.publish().bytesCopied == 20 * Int64(mebibyte))
    #expect(try await fixture.isPublished())
  }

  @Test func `each version may follow another one as a delta`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    for round in 1...6 {
      try fixture.append(pattern(round * 700_000, seed: UInt8(round)))
      try fixture.files.overwrite("a", [UInt8(round)], at: round << 22)
      let receipt = try await fixture.publish()
      #expect(try await fixture.isPublished())
      #expect(receipt.bytesCopied > 0)
      // What is known of the object is what a whole upload would give.
      let bytes = try fixture.files.read("a")
      let blocks = try #require(receipt.blocks)
      for index in 0..<blocks.count {
        let range = blocks.grid.range(of: index)
        let block = Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        #expect(blocks[index] == .init(crc32: CRC32(block).value, md5: md5(block)))
      }
    }
  }

  @Test func `a file that was cut is a delta too`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    try fixture.files.write("a", Array(Self.bytes.prefix(12 * mebibyte)))
    #expect(try await fixture.publish().bytesCopied == 10 * Int64(mebibyte))
    #expect(try await fixture.isPublished())
  }

  @Test func `a file of which everything changed is sent whole`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    try fixture.files.write("a", pattern(23 * mebibyte, seed: 7))
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(await fixture.copies == 0)
    #expect(try await fixture.isPublished())
  }

  @Test(.promise("XFER-14"))
  func `a log below the multipart threshold is a delta from 6 MiB on`() async throws {
    let fixture = try DeltaFixture(threshold: 16 << 20)
    try await fixture.begin(with: pattern(5 * mebibyte))
    try fixture.append(pattern(mebibyte))
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(await fixture.store.calls.map(\.operation) == ["PutObject"])
    try fixture.append([1, 2, 3])
    #expect(try await fixture.publish().bytesCopied == 6 * Int64(mebibyte))
    try fixture.append(pattern(11 * mebibyte, seed: 3))
    #expect(try await fixture.publish().bytesCopied == 6 * Int64(mebibyte) + 3)
    #expect(try await fixture.isPublished())
  }

  @Test func `with deltas off the file is sent whole`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    try fixture.append([1])
    var settings = fixture.settings
    settings.deltas = .off
    let blocks = try #require(try await fixture.publish().blocks)
    await fixture.store.forgetCalls()
    let known = KnownObject(etag: try #require(await fixture.store.object("a")).etag, blocks: blocks)
    _ = try await fixture.files.uploader(settings).upload(
      "a", of: fixture.files.root, to: "a", isCloseSeen: true, openFiles: .wait, over: [known])
    #expect(await fixture.copies == 0)
  }

  @Test(.promise("XFER-18"))
  func `a file with the content of another object is copied from there`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    let published = try await fixture.publish()
    let known = KnownObject(key: "a", etag: published.etag, blocks: try #require(published.blocks))
    try fixture.files.write("b", Self.bytes)
    var changed = Self.bytes
    changed[20 * mebibyte] &+= 1
    try fixture.files.write("c", changed)
    await fixture.store.forgetCalls()
    let (uploader, root) = (fixture.uploader, fixture.files.root)
    for name in ["b", "c"] as [RelativePath] {
      _ = try await uploader.upload(
        name, of: root, to: name.string, isCloseSeen: true, openFiles: .wait, over: [known])
      #expect(await fixture.store.bytes(name.string) == (try fixture.files.read(name.string)))
    }
    // Of the second one the last block.
    #expect(await fixture.sends == 1)
    // A file of the same size with another content costs nothing but two blocks' reading.
    try fixture.files.write("d", pattern(23 * mebibyte, seed: 8))
    await fixture.store.forgetCalls()
    let receipt = try await uploader.upload(
      "d", of: root, to: "d", isCloseSeen: true, openFiles: .wait, over: [known])
    #expect(receipt.bytesCopied == 0)
    #expect(await fixture.copies == 0)
    // The other object is gone meanwhile, by a rotation.
    await fixture.store.remove("a")
    try fixture.files.write("e", Self.bytes)
    _ = try await uploader.upload(
      "e", of: root, to: "e", isCloseSeen: true, openFiles: .wait, over: [known])
    #expect(await fixture.store.bytes("e") == Self.bytes)
    #expect(fixture.notices.withLock { $0 } == [])
  }

  /// Contents whose records each end in their own CRC-32 all have the same CRC-32.
  @Test(.promise("XFER-15"))
  func `a part with the checksum of other bytes is sent`() async throws {
    let (old, new) = (records(5_120, seed: 1), records(5_120, seed: 2))
    let part = 5 * mebibyte
    try #require(CRC32(Array(old[..<part])) == CRC32(Array(new[..<part])))
    let fixture = try DeltaFixture()
    try await fixture.begin(with: old)
    // The last three parts have the CRC-32 of other bytes.
    try fixture.files.write("a", Array(old[..<part] + new[part...]))
    #expect(try await fixture.publish().bytesCopied == Int64(part))
    #expect(try await fixture.isPublished())
  }

  @Test(.promise("XFER-2"))
  func `a file that changes under its delta is not published`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    try fixture.append([1])
    await fixture.store.hold { [unowned fixture] call in
      // What is copied was compared before.
      if call.operation == "UploadPartCopy" { try fixture.files.overwrite("a", [9], at: 0) }
    }
    await #expect(throws: UploadAbandoned.changed) { try await fixture.publish() }
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test(.promise("PUB-7"))
  func `a log that is open sends what was appended`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    let writer = try SoleWriter(fixture.files.url("a").path, O_APPEND)
    try writer.write([1, 2, 3])
    let published = PublishedContent(byteCount: 23 << 20, etag: "-", crc32: CRC32(Self.bytes).base64)
    let receipt = try await fixture.publish(openFiles: .append(to: published))
    #expect(receipt.proof == .reread)
    #expect(receipt.isSnapshot)
    #expect(receipt.bytesCopied == 23 * Int64(mebibyte))
    #expect(try await fixture.isPublished())
    try writer.close()
  }

  @Test(.promise("PUB-2"), arguments: [0, 23 << 20])
  func `a log that is open is not published if its two reads differ`(offset: Int) async throws {
    let fixture = try DeltaFixture(workers: 1)
    try await fixture.begin(with: Self.bytes)
    let writer = try SoleWriter(fixture.files.url("a").path, O_APPEND)
    try writer.write([1, 2, 3])
    // Between the reads: the second one follows when the upload is open.
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "CreateMultipartUpload" else { return }
      try fixture.files.overwrite("a", [9], at: offset)
    }
    await #expect(throws: UploadAbandoned.changed) { try await fixture.publish(openFiles: .append(to: nil)) }
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(await fixture.store.openUploads.isEmpty)
    try writer.close()
  }

  @Test(.promise("UNIT-1"))
  func `a delta waits for its unit with all parts on the server`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    try fixture.append([1, 2, 3])
    let store = fixture.store
    try await fixture.publish(whenStaged: {
      #expect(await store.count(of: "UploadPartCopy") == 1)
      #expect(await store.count(of: "UploadPart") == 1)
      #expect(await store.count(of: "CompleteMultipartUpload") == 0)
    })
    #expect(try await fixture.isPublished())
  }

  @Test func `the limits of a delta are S3's`() {
    #expect(DeltaPlan.Limits.s3.smallestPart == UploadPlan.Limit.smallestPart)
    #expect(DeltaPlan.Limits.s3.largestPart == UploadPlan.Limit.largestPart)
    #expect(DeltaPlan.Limits.s3.parts == UploadPlan.Limit.parts)
  }
}
