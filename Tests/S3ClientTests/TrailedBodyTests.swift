import Digests
import HTTPTransport
import S3Client
import TestSupport
import Testing

/// A body in chunks with its checksum behind it.
@Suite struct TrailedBodyTests {
  private static let chunk = 1 << 20

  /// What the body sends from `offset` on, when it is asked for so many bytes at a time.
  private func sent(_ body: TrailedBody, from offset: Int = 0, pieces: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while Int64(offset + bytes.count) < body.byteCount {
      let piece = try body.bytes(from: Int64(offset + bytes.count), limit: pieces)
      try #require(!piece.isEmpty)
      bytes += piece
    }
    return bytes
  }

  private func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test func `the format is that of the S3 API Reference`() throws {
    let content = Array("hello".utf8)
    let body = TrailedBody(BytesBody(content))
    let bytes = try sent(body, pieces: 1000)
    #expect(
      text(bytes)
        == "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:\(CRC32(content).base64)\r\n\r\n")
    #expect(body.checksum == CRC32(content))
  }

  @Test(arguments: [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk], [7 << 10, 256 << 10, 5 << 20])
  func `the content comes in chunks of a MiB, whatever the pieces`(byteCount: Int, pieces: Int) throws {
    let content = PatternBody(byteCount: Int64(byteCount)).bytes
    let body = TrailedBody(BytesBody(content))
    var expected: [UInt8] = []
    for start in stride(from: 0, to: byteCount, by: Self.chunk) {
      let chunk = content[start..<min(start + Self.chunk, byteCount)]
      expected += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + Array("\r\n".utf8)
    }
    expected += Array("0\r\nx-amz-checksum-crc32:\(CRC32(content).base64)\r\n\r\n".utf8)
    #expect(body.byteCount == Int64(expected.count))
    #expect(try sent(body, pieces: pieces) == expected)
    #expect(body.checksum == CRC32(content))
  }

  @Test func `a request that is sent again has the same bytes, from wherever it begins`() throws {
    let content = PatternBody(byteCount: Int64(2 * Self.chunk + 100)).bytes
    let body = TrailedBody(BytesBody(content))
    let whole = try sent(body, pieces: 256 << 10)
    for start in [0, 3, 9, Self.chunk + 8, Self.chunk + 9, 2 * Self.chunk, whole.count - 40, whole.count - 1]
    {
      #expect(try sent(body, from: start, pieces: 64 << 10) == Array(whole[start...]), "from \(start)")
    }
  }

  @Test func `content that was not sent whole has no checksum`() throws {
    let body = TrailedBody(BytesBody([1, 2, 3]))
    #expect(body.checksum == nil)
    _ = try body.bytes(from: 0, limit: 5)
    #expect(body.checksum == nil)
  }

  @Test(arguments: [
    ("https://h", S3Bucket.PayloadSigning.automatic, true), ("https://h", .never, true),
    ("https://h", .always, false), ("http://h", .never, false), ("http://127.0.0.1:9", .automatic, false),
  ])
  func `only parts that TLS protects and no signature covers have trailers`(
    url: String, mode: S3Bucket.PayloadSigning, isTaken: Bool
  ) throws {
    let endpoint = try #require(S3Endpoint(url: url))
    let store = S3Bucket.scripted(ScriptedClient([]), endpoint: endpoint, payloadSigning: mode)
    #expect(store.takesTrailers == isTaken)
  }

  @Test func `the head says what the body is`() async throws {
    let client = ScriptedClient([.answer(200, "", ["ETag": "e"])])
    let store = S3Bucket.scripted(client)
    let body = TrailedBody(BytesBody([1, 2, 3]))
    let answer = try await store.send(UploadPart(key: "k", uploadID: "u", number: 1, body: body))
    #expect(!answer.checksumWasEchoed)
    let headers = try #require(await client.requests.first).headers
    #expect(headers["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    #expect(headers["x-amz-trailer"] == "x-amz-checksum-crc32")
    #expect(headers["x-amz-decoded-content-length"] == "3")
    #expect(headers["Content-Encoding"] == "aws-chunked")
    #expect(headers["x-amz-checksum-crc32"] == nil)
  }
}
