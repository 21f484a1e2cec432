import Digests
import HTTPTransport
import S3Client
import SigV4
import TestSupport
import Testing

/// What only a real server can say about signatures and clocks.
@Suite(.enabled(if: ServerUnderTest.fromEnvironment != nil)) struct ServerTests {
  private func run(_ body: (ServerUnderTest, CurlClient) async throws -> Void) async throws {
    let server = try #require(ServerUnderTest.fromEnvironment)
    let client = try CurlClient()
    do {
      try await body(server, client)
    } catch {
      await client.close()
      throw error
    }
    await client.close()
  }

  @Test(arguments: [S3Bucket.PayloadSigning.automatic, .always, .never])
  func `every way to sign a body is accepted`(mode: S3Bucket.PayloadSigning) async throws {
    try await run { server, client in
      let store = server.bucket(over: client, payloadSigning: mode)
      let body = PatternBody(byteCount: 300_000)
      let key = "signing/\(mode)"
      let output = try await store.send(PutObject(key: key, body: body, checksumCRC32: CRC32(body.bytes)))
      #expect(output.etag == hexadecimal(md5(body.bytes)))
      _ = try await store.send(DeleteObject(key: key))
    }
  }

  @Test func `a wrong secret is refused with its remedy`() async throws {
    try await run { server, client in
      var wrong = server
      wrong.credentials.secretAccessKey += "x"
      let store = wrong.bucket(over: client)
      let error = await #expect(throws: S3Error.self) { try await store.send(ListObjectsV2()) }
      #expect(error?.isAccessDenied == true)
      #expect(error?.isRetryable == false)
      #expect(error?.remedy != nil)
    }
  }

  @Test func `a missing bucket is not found`() async throws {
    try await run { server, client in
      var elsewhere = server
      elsewhere.bucketName = "no-such-bucket-here"
      let store = elsewhere.bucket(over: client)
      let error = await #expect(throws: S3Error.self) { try await store.send(ListObjectsV2()) }
      #expect(error?.code == "NoSuchBucket")
    }
  }

  @Test func `a clock that is a day late is set right`() async throws {
    try await run { server, client in
      let store = server.bucket(over: client, clockError: -86_400)
      let start = ContinuousClock.now
      _ = try await store.send(ListObjectsV2())
      // The server's date is a whole second, and as old as the exchange took, however long that is here.
      let allowed = (ContinuousClock.now - start).components.seconds + 2
      #expect(abs(store.clockOffsetSeconds - 86_400) <= allowed)
    }
  }
}
