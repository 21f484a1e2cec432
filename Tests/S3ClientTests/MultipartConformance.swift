import Digests
import HTTPTransport
import S3Client
import TestSupport
import Testing

/// Multipart uploads on every store.
@Suite struct MultipartConformance {
  static let stores = StoreUnderTest.available
  /// AWS: the smallest part but the last.
  private static let partByteCount = 5 << 20

  private func bytes(_ count: Int, seed: UInt8) -> [UInt8] {
    var value = seed
    return (0..<count).map { _ in
      value = value &* 181 &+ 59
      return value
    }
  }

  private func begin(_ store: any ObjectStore, _ key: String) async throws -> String {
    let create = CreateMultipartUpload(
      key: key, contentType: "x/y", metadata: ["mtime": "9"], checksum: .fullObjectCRC32)
    return try await store.send(create).uploadID
  }

  private func send(
    _ store: any ObjectStore, _ key: String, _ uploadID: String, _ number: Int, _ bytes: [UInt8]
  ) async throws -> CompleteMultipartUpload.Part {
    let crc = CRC32(bytes)
    let output = try await store.send(
      UploadPart(key: key, uploadID: uploadID, number: number, body: BytesBody(bytes), checksumCRC32: crc))
    return CompleteMultipartUpload.Part(number: number, etag: output.etag, checksumCRC32: crc)
  }

  /// An abort whose first answer was lost finds nothing the second time.
  private func abort(_ store: any ObjectStore, _ key: String, _ uploadID: String) async throws {
    do {
      _ = try await store.send(AbortMultipartUpload(key: key, uploadID: uploadID))
    } catch let error as S3Error where error.code == "NoSuchUpload" && error.attempts > 1 {}
  }

  @Test(arguments: stores)
  func `parts become one object, checked as a whole`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let key = prefix + "big +%\u{e9}"
      let (first, second) = (bytes(Self.partByteCount, seed: 1), bytes(1_000, seed: 2))
      let uploadID = try await begin(store, key)
      // Out of order, and one of them twice: the later bytes count.
      let two = try await send(store, key, uploadID, 2, second)
      _ = try await send(store, key, uploadID, 1, Array(first.reversed()))
      let one = try await send(store, key, uploadID, 1, first)
      #expect(one.etag == hexadecimal(md5(first)))
      let whole = CRC32(first).combined(with: CRC32(second), byteCount: Int64(second.count))
      let output = try await store.send(
        CompleteMultipartUpload(
          key: key, uploadID: uploadID, parts: [one, two], fullObjectCRC32: whole,
          byteCount: Int64(first.count + second.count)))
      #expect(output.etag == hexadecimal(md5(md5(first) + md5(second))) + "-2")
      let head = try await store.send(HeadObject(key: key))
      #expect(head.byteCount == Int64(first.count + second.count))
      #expect(head.etag == output.etag)
      #expect(head.metadata["mtime"] == "9")
      #expect(head.contentType == "x/y")
      if output.checksumWasEchoed { #expect(head.fullObjectCRC32 == whole) }
      let sink = RecordingSink()
      _ = try await store.send(GetObject(key: key, sink: sink))
      #expect(sink.bytes == first + second)
    }
  }

  @Test(arguments: stores)
  func `an interrupted upload is found again with its parts, and ends when aborted`(kind: StoreUnderTest)
    async throws
  {
    try await kind.run { store, prefix in
      let key = prefix + "resume me+"
      let uploadID = try await begin(store, key)
      let part = bytes(3_000, seed: 3)
      for number in [1, 2, 5] { _ = try await send(store, key, uploadID, number, part) }
      let uploads = try await store.send(ListMultipartUploads(prefix: prefix)).uploads
      #expect(uploads.contains { $0.key == key && $0.uploadID == uploadID })
      #expect(uploads.allSatisfy { $0.initiated != nil })
      var parts: [ListParts.Part] = []
      var operation = ListParts(key: key, uploadID: uploadID, limit: 2)
      while true {
        let page = try await store.send(operation)
        parts += page.parts
        guard let next = page.next else { break }
        operation.after = next
      }
      #expect(parts.map(\.number) == [1, 2, 5])
      #expect(parts.allSatisfy { $0.etag == hexadecimal(md5(part)) && $0.byteCount == 3_000 })
      // A lost answer to CreateMultipartUpload leaves an upload behind: abort whatever is there.
      for upload in uploads { try await abort(store, key, upload.uploadID) }
      #expect(try await store.send(ListMultipartUploads(prefix: prefix)).uploads.isEmpty)
      let error = await #expect(throws: S3Error.self) {
        try await store.send(ListParts(key: key, uploadID: uploadID))
      }
      #expect(error?.code == "NoSuchUpload")
      #expect(error?.isRetryable == false)
      let missing = await #expect(throws: S3Error.self) { try await store.send(HeadObject(key: key)) }
      #expect(missing?.isNotFound == true)
    }
  }

  @Test(arguments: stores)
  func `a completion that names other bytes makes no object`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let key = prefix + "wrong"
      let uploadID = try await begin(store, key)
      let part = try await send(store, key, uploadID, 1, bytes(100, seed: 4))
      var wrong = part
      wrong.etag = hexadecimal(md5([0]))
      let error = await #expect(throws: S3Error.self) {
        try await store.send(CompleteMultipartUpload(key: key, uploadID: uploadID, parts: [wrong]))
      }
      #expect(error?.isRetryable == false)
      let missing = await #expect(throws: S3Error.self) { try await store.send(HeadObject(key: key)) }
      #expect(missing?.isNotFound == true)
      try await abort(store, key, uploadID)
    }
  }

  @Test(arguments: stores)
  func `a part may be copied from an object`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let source = bytes(10_000, seed: 5)
      let written = try await store.send(PutObject(key: prefix + "source +", body: BytesBody(source)))
      let key = prefix + "assembled"
      let uploadID = try await begin(store, key)
      let copied = try await store.send(
        UploadPartCopy(
          key: key, uploadID: uploadID, number: 1,
          source: CopySource(bucket: store.bucket, key: prefix + "source +", ifMatch: written.etag),
          range: 1_000...2_999))
      let part = CompleteMultipartUpload.Part(
        number: 1, etag: copied.etag, checksumCRC32: copied.checksumCRC32.flatMap { CRC32(base64: $0) })
      _ = try await store.send(CompleteMultipartUpload(key: key, uploadID: uploadID, parts: [part]))
      #expect(try await store.send(GetObject(key: key)).body == Array(source[1_000...2_999]))
    }
  }
}
