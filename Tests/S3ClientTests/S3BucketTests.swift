import Digests
import HTTPTransport
import S3Client
import SigV4
import Synchronization
import TestSupport
import Testing

@Suite struct S3BucketTests {
  @Test func `keys reach the URL byte for byte`() async throws {
    let client = ScriptedClient([.answer(204, ""), .answer(204, "")])
    let store = S3Bucket.scripted(client)
    _ = try await store.send(DeleteObject(key: "a b/+%&#?\"/../cafe\u{301}"))
    _ = try await store.send(DeleteObject(key: "caf\u{e9}"))
    let urls = await client.requests.map(\.url)
    #expect(
      urls == [
        "https://b.s3.us-east-1.amazonaws.com/a%20b/%2B%25%26%23%3F%22/../cafe%CC%81",
        "https://b.s3.us-east-1.amazonaws.com/caf%C3%A9",
      ])
  }

  @Test func `the request is signed as the signer signs it`() async throws {
    let client = ScriptedClient([.answer(200, "", ["ETag": "e"])])
    let store = S3Bucket.scripted(client, commonHeaders: ["x-amz-request-payer": "requester"])
    _ = try await store.send(PutObject(key: "k", body: BytesBody([1, 2]), contentType: "x/y"))
    let request = try #require(await client.requests.first)
    let input = SigningInput(
      method: "PUT", host: "b.s3.us-east-1.amazonaws.com", path: "/k",
      headers: [("Content-Type", "x/y"), ("x-amz-request-payer", "requester")],
      payload: .sha256(hexadecimal(sha256([1, 2]))))
    let expected = RequestSigner(region: "us-east-1").headers(
      for: input, credentials: exampleCredentials, at: SigningTime(secondsSince1970: 1_700_000_000))
    for (name, value) in expected { #expect(request.headers[name] == value) }
    #expect(request.headers["x-amz-request-payer"] == "requester")
  }

  @Test func `without credentials nothing is signed`() async throws {
    let client = ScriptedClient([.answer(200, "", [:])])
    _ = try await S3Bucket.scripted(client, credentials: { nil }).send(HeadBucket())
    let request = try #require(await client.requests.first)
    #expect(request.headers.fields.isEmpty)
  }

  @Test(
    .promise("XFER-8"),
    arguments: [
      ("https://h", S3Bucket.PayloadSigning.automatic, "UNSIGNED-PAYLOAD"),
      ("http://127.0.0.1:9", .automatic, "UNSIGNED-PAYLOAD"),
      ("http://h", .automatic, "hash"), ("https://h", .always, "hash"),
      ("http://h", .never, "UNSIGNED-PAYLOAD"),
    ])
  func `a file's body is signed where nothing else protects it`(
    url: String, mode: S3Bucket.PayloadSigning, expected: String
  ) async throws {
    let client = ScriptedClient([.answer(200, "", ["ETag": "e"])])
    let store = S3Bucket.scripted(client, endpoint: try #require(S3Endpoint(url: url)), payloadSigning: mode)
    #expect(store.signsBodies == (expected == "hash"))
    let body = PatternBody(byteCount: 200_000)
    _ = try await store.send(PutObject(key: "k", body: body))
    let sent = await client.requests.first?.headers["x-amz-content-sha256"]
    #expect(sent == (expected == "hash" ? hexadecimal(sha256(body.bytes)) : expected))
  }

  @Test func `errors of the network are told by their kind`() async {
    let client = ScriptedClient([.failure(.timeout)])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.network == .timeout)
    #expect(error?.status == 0)
    #expect(error?.isRetryable == true)
  }

  @Test func `what an operation refuses by itself names the bucket`() async {
    let client = ScriptedClient([])
    let error = await #expect(throws: S3Error.self) {
      try await S3Bucket.scripted(client).send(DeleteObjects(keys: ["\u{1}"]))
    }
    #expect(error?.bucket == "b")
    #expect(await client.requests.isEmpty)
  }
}

@Suite struct S3BucketRepairTests {
  private static let skewed = "<Error><Code>RequestTimeTooSkewed</Code></Error>"
  /// 2023-11-14T23:13:20Z: an hour later than the clock of the tests.
  private static let later: HTTPHeaders = ["Date": "Tue, 14 Nov 2023 23:13:20 GMT"]

  @Test(arguments: [skewed, ""])
  func `a skewed clock is repaired once, by the server's date, and stays so`(body: String) async throws {
    let client = ScriptedClient([.answer(403, body, Self.later), .answer(200, ""), .answer(200, "")])
    let store = S3Bucket.scripted(client)
    _ = try await store.send(HeadBucket())
    _ = try await store.send(HeadBucket())
    let dates = await client.requests.map { $0.headers["x-amz-date"] }
    #expect(dates == ["20231114T221320Z", "20231114T231320Z", "20231114T231320Z"])
    #expect(store.clockOffsetSeconds == 3_600)
  }

  @Test func `a clock that is right is not blamed for a refusal`() async {
    let client = ScriptedClient([.answer(403, "", ["Date": "Tue, 14 Nov 2023 22:14:20 GMT"])])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.code == "Forbidden")
    #expect(await client.requests.count == 1)
  }

  @Test func `a clock that is refused again is an error`() async {
    let client = ScriptedClient([
      .answer(403, Self.skewed, Self.later), .answer(403, Self.skewed, Self.later),
    ])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.code == "RequestTimeTooSkewed")
    #expect(await client.requests.count == 2)
  }

  private static let wrongRegion: [(Int, String, HTTPHeaders)] = [
    (301, "", ["x-amz-bucket-region": "eu-west-1"]),
    (400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>", [:]),
    (400, "", ["x-amz-bucket-region": "eu-west-1"]),
  ]

  @Test(arguments: wrongRegion)
  func `a wrong region is repaired once and stays so`(status: Int, body: String, headers: HTTPHeaders)
    async throws
  {
    let client = ScriptedClient([.answer(status, body, headers), .answer(200, ""), .answer(200, "")])
    let store = S3Bucket.scripted(client)
    _ = try await store.send(HeadBucket())
    _ = try await store.send(HeadBucket())
    let requests = await client.requests
    #expect(
      requests.map(\.url) == [
        "https://b.s3.us-east-1.amazonaws.com/", "https://b.s3.eu-west-1.amazonaws.com/",
        "https://b.s3.eu-west-1.amazonaws.com/",
      ])
    #expect(requests[1].headers["Authorization"]?.contains("/eu-west-1/s3/") == true)
    #expect(store.region == "eu-west-1")
  }

  @Test func `an answer's region that no host can bear is not followed`() async {
    let client = ScriptedClient([.answer(301, "", ["x-amz-bucket-region": "evil.com/#"])])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.status == 301)
    #expect(await client.requests.count == 1)
  }

  @Test func `an expired token is renewed once`() async throws {
    let expired = "<Error><Code>ExpiredToken</Code></Error>"
    let client = ScriptedClient([.answer(400, expired), .answer(200, "")])
    let asked = Mutex(0)
    let store = S3Bucket.scripted(client) {
      let number = asked.withLock { count in
        count += 1
        return count
      }
      return AWSCredentials(
        accessKeyID: "A", secretAccessKey: "s", sessionToken: number == 1 ? "old" : "new")
    }
    _ = try await store.send(HeadBucket())
    #expect(await client.requests.map { $0.headers["x-amz-security-token"] } == ["old", "new"])
  }

  @Test(arguments: ["ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"])
  func `credentials that the server refuses by name are asked for anew, however good they seem`(code: String)
    async throws
  {
    let client = ScriptedClient([.answer(403, "<Error><Code>\(code)</Code></Error>"), .answer(200, "")])
    let current = Mutex(exampleCredentials)
    let store = S3Bucket.scripted(client, credentials: { current.withLock { $0 } }) { refused in
      #expect(refused == exampleCredentials)
      return current.withLock { current in
        current = AWSCredentials(accessKeyID: "NEW", secretAccessKey: "s")
        return current
      }
    }
    _ = try await store.send(HeadBucket())
    let keys = await client.requests.map { $0.headers["Authorization"]?.contains("Credential=NEW/") }
    #expect(keys == [false, true])
  }

  @Test(arguments: [(400, 1), (403, 0)])
  func `a refusal without words renews a token only with the status of an expired one`(
    status: Int, renewals: Int
  ) async {
    let token = AWSCredentials(accessKeyID: "A", secretAccessKey: "s", sessionToken: "t")
    let asked = Mutex(0)
    let store = S3Bucket.scripted(
      ScriptedClient([.answer(status, "")]), credentials: { token },
      renewal: { refused in
        asked.withLock { $0 += 1 }
        return refused
      })
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(asked.withLock { $0 } == renewals)
  }

  private struct Trouble: Error, CustomStringConvertible {
    var description: String { "the source is down" }
  }

  @Test func `a refusal says why there are no new credentials`() async {
    let client = ScriptedClient([.answer(400, "<Error><Code>ExpiredToken</Code></Error>")])
    let store = S3Bucket.scripted(client, renewal: { _ in throw Trouble() })
    let error = await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(error?.code == "ExpiredToken")
    #expect(error?.description.contains("the source is down") == true)
  }

  @Test func `a source that gives no credentials is the operation's error, and a cancellation stays one`()
    async
  {
    let store = S3Bucket.scripted(ScriptedClient([]), credentials: { throw Trouble() })
    let error = await #expect(throws: S3Error.self) { try await store.send(DeleteObject(key: "k")) }
    #expect(error?.code == "NoCredentials")
    #expect(error?.key == "k")
    #expect(error?.description.contains("the source is down") == true)
    await #expect(throws: CancellationError.self) {
      try await S3Bucket.scripted(ScriptedClient([]), credentials: { throw CancellationError() }).send(
        HeadBucket())
    }
  }

  @Test func `an expired token that nobody renews is an error`() async {
    let expired = "<Error><Code>ExpiredToken</Code></Error>"
    let client = ScriptedClient([.answer(400, expired)])
    let error = await #expect(throws: S3Error.self) { try await S3Bucket.scripted(client).send(HeadBucket()) }
    #expect(error?.code == "ExpiredToken")
    #expect(await client.requests.count == 1)
  }
}

/// A body that is not in memory as far as the store can see.
struct PatternBody: RequestBody {
  var byteCount: Int64

  var bytes: [UInt8] { (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) } }

  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(Int(byteCount - offset), buffer.count)
    for index in 0..<count { buffer[index] = UInt8(truncatingIfNeeded: (offset + Int64(index)) &* 31 >> 3) }
    return count
  }
}

@Suite struct S3EndpointTests {
  @Test(arguments: [
    ("http://127.0.0.1:8333", "http://127.0.0.1:8333/b/k"),
    ("https://s3.example.com/", "https://s3.example.com/b/k"),
    ("https://s3.example.com:443", "https://s3.example.com/b/k"),
    ("http://[::1]:9000", "http://[::1]:9000/b/k"),
    ("HTTPS://h:80", "https://h:80/b/k"),
  ])
  func `an endpoint of one's own holds the bucket in the path`(url: String, expected: String) async throws {
    let client = ScriptedClient([.answer(204, "")])
    _ = try await S3Bucket.scripted(client, endpoint: try #require(S3Endpoint(url: url))).send(
      DeleteObject(key: "k"))
    #expect(await client.requests.map(\.url) == [expected])
  }

  @Test(arguments: [
    "", "h", "ftp://h", "http://", "http://h/path", "http://u@h", "http://h:0", "http://h:x", "http://h?q",
    "http://::1",
  ])
  func `what is no endpoint is nil`(url: String) {
    #expect(S3Endpoint(url: url) == nil)
  }

  @Test(arguments: [
    ("my-bucket", "https://my-bucket.s3.eu-west-1.amazonaws.com/k"),
    ("my.bucket", "https://s3.eu-west-1.amazonaws.com/my.bucket/k"),
    ("My_Bucket", "https://s3.eu-west-1.amazonaws.com/My_Bucket/k"),
  ])
  func `AWS holds the bucket in the host where a certificate covers it`(bucket: String, expected: String)
    async throws
  {
    let client = ScriptedClient([.answer(204, "")])
    let store = S3Bucket(
      bucket: bucket, endpoint: .aws, region: "eu-west-1", credentials: { nil }, client: client, clock: { 0 })
    _ = try await store.send(DeleteObject(key: "k"))
    #expect(await client.requests.map(\.url) == [expected])
  }

  @Test(
    .promise("CRED-4"),
    arguments: [
      ("eu-west-1", [], "s3.eu-west-1.amazonaws.com"), ("cn-north-1", [], "s3.cn-north-1.amazonaws.com.cn"),
      ("us-gov-west-1", .fips, "s3-fips.us-gov-west-1.amazonaws.com"),
      ("us-east-1", .dualStack, "s3.dualstack.us-east-1.amazonaws.com"),
      ("us-east-1", [.fips, .dualStack], "s3-fips.dualstack.us-east-1.amazonaws.com"),
      ("eusc-de-east-1", .dualStack, "s3.dualstack.eusc-de-east-1.amazonaws.eu"),
      ("us-iso-east-1", [], "s3.us-iso-east-1.c2s.ic.gov"),
      ("us-isob-east-1", .fips, "s3-fips.us-isob-east-1.sc2s.sgov.gov"),
    ] as [(String, EndpointVariant, String)])
  func `AWS's host is that of region, partition and variant`(
    region: String, variant: EndpointVariant, host: String
  )
    async throws
  {
    for (bucket, expected) in [
      ("my-bucket", "https://my-bucket.\(host)/k"), ("my.bucket", "https://\(host)/my.bucket/k"),
    ] {
      let client = ScriptedClient([.answer(204, "")])
      let store = S3Bucket(
        bucket: bucket, endpoint: S3Endpoint(scheme: .https, host: .aws(variant)), region: region,
        credentials: { nil }, client: client, clock: { 0 })
      _ = try await store.send(DeleteObject(key: "k"))
      #expect(await client.requests.map(\.url) == [expected])
    }
  }

  @Test(
    .promise("CRED-4"),
    arguments: [
      (S3Endpoint.Addressing.automatic, "h", "/base/v1/b/a%20b"), (.virtualHost, "b.h", "/base/v1/a%20b"),
    ])
  func `an endpoint's path stands before the bucket's, and is signed`(
    addressing: S3Endpoint.Addressing, host: String, path: String
  ) async throws {
    let client = ScriptedClient([.answer(204, "")])
    let endpoint = S3Endpoint(scheme: .https, host: .named("h"), basePath: "/base/v1", addressing: addressing)
    _ = try await S3Bucket.scripted(client, endpoint: endpoint).send(DeleteObject(key: "a b"))
    let request = try #require(await client.requests.first)
    #expect(request.url == "https://\(host)\(path)")
    let expected = RequestSigner(region: "us-east-1").headers(
      for: SigningInput(method: "DELETE", host: host, path: path, payload: .empty),
      credentials: exampleCredentials,
      at: SigningTime(secondsSince1970: 1_700_000_000))
    for (name, value) in expected { #expect(request.headers[name] == value) }
  }

  @Test func `only this machine is loopback`() throws {
    let loopback = [
      "http://127.0.0.1", "http://127.8.9.1:80", "http://localhost:1", "http://x.localhost", "http://[::1]",
    ]
    for url in loopback { #expect(try #require(S3Endpoint(url: url)).isLoopback, "\(url)") }
    let others = [
      "http://10.0.0.1", "http://127.example.com", "http://localhost.example.com", "http://[::2]",
    ]
    for url in others { #expect(try !#require(S3Endpoint(url: url)).isLoopback, "\(url)") }
  }
}

/// What a request goes over when it is sent again.
@Suite struct RetriedConnectionTests {
  private func connections(after first: ScriptedClient.Step) async throws -> [HTTPRequest.Connection] {
    let client = ScriptedClient([first, .answer(204, "")])
    let store = RetryingStore(S3Bucket.scripted(client), pause: { _ in })
    _ = try await store.send(DeleteObject(key: "k"))
    return await client.requests.map(\.connection)
  }

  @Test(arguments: [TransportError.Kind.timeout, .interrupted, .staleConnection])
  func `after a connection that broke or fell silent another is made`(kind: TransportError.Kind) async throws
  {
    #expect(try await connections(after: .failure(kind)) == [.pooled, .fresh])
  }

  @Test func `a server that asks for patience is not given more connections`() async throws {
    let busy = ScriptedClient.Step.answer(503, "<Error><Code>SlowDown</Code></Error>")
    #expect(try await connections(after: busy) == [.pooled, .pooled])
  }
}
