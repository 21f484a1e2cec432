import CCurl
import Dispatch
import TestSupport
import Testing

@testable import HTTPTransport

/// Connections over TLS: what is read for one, and what a later one need not do again.
@Suite struct TLSTests {
  private let directory: TemporaryDirectory
  private let identity: TLSIdentity

  init() throws {
    directory = try TemporaryDirectory()
    try directory.makeDirectory("bundles")
    try directory.makeDirectory("certificates")
    identity = try TLSIdentity("server", certificate: directory["bundles/server.pem"])
  }

  /// A client that trusts a file, and a directory where libcurl has one.
  private func configuration(bundle: String) -> CurlClient.Configuration {
    var configuration = CurlClient.Configuration()
    configuration.caBundlePath = directory["bundles/" + bundle]
    configuration.certificateDirectory = CertificateDirectory(
      path: directory["certificates"], file: configuration.caBundlePath)
    return configuration
  }

  private func request(_ server: ScriptedServer, _ connection: HTTPRequest.Connection = .pooled)
    -> HTTPRequest
  {
    var request = HTTPRequest(method: .get, url: server.url + "/k")
    request.connection = connection
    return request
  }

  @Test(arguments: [1, 8 << 10, 60 << 10, (64 << 10) - 1, 300_000])
  func `a body arrives whole over TLS`(byteCount: Int) async throws {
    let body = StableBody(byteCount: byteCount)
    try await withServer(
      configuration(bundle: "server.pem"), identity: identity,
      script: { connection in
        while let head = try connection.readHead() {
          var sum: UInt = 0
          try connection.readBody(head.contentLength) { sum = crc(sum, $0) }
          try connection.respond(body: "\(head.contentLength) \(sum)")
        }
      }
    ) { server, client in
      let response = try await client.send(HTTPRequest(method: .put, url: server.url + "/k", body: body))
      #expect(response.text == "\(byteCount) \(body.checksum)")
    }
  }

  /// libcurl keeps parsed certificates from 7.87 on (CURLOPT_CA_CACHE_TIMEOUT(3)).
  @Test(.enabled(if: curl_version_info(CURLVERSION_FIRST).pointee.version_num >= 0x075700))
  func `the file of certificates is read for the first connection only`() async throws {
    try await withServer(
      configuration(bundle: "server.pem"), identity: identity, script: answering { $0.target }
    ) { server, client in
      let opened = try OpenedFiles(in: directory["bundles"])
      _ = try await client.send(request(server))
      #expect(opened.names() == ["server.pem"])
      _ = try await client.send(request(server, .fresh))
      #expect(server.connectionCount == 2)
      #expect(opened.names() == [])
    }
  }

  @Test func `a connection resumes the session of another one`() async throws {
    let arrived = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let script: ScriptedServer.Script = { connection in
      while let head = try connection.readHead() {
        if head.target == "/held" {
          arrived.signal()
          gate.wait()
        }
        try connection.respond(body: head.target)
      }
    }
    try await withServer(configuration(bundle: "server.pem"), identity: identity, script: script) {
      server, client in
      _ = try await client.send(request(server))
      // The handle that has the session is in use, so the next request has another one.
      let held = Task { try await client.send(HTTPRequest(method: .get, url: server.url + "/held")) }
      await wait(for: arrived)
      for _ in 0..<2 { _ = try await client.send(request(server, .fresh)) }
      gate.signal()
      _ = try await held.value
      #expect(identity.sessions.made == 3)
      #expect(identity.sessions.resumed == 2)
    }
  }

  @Test func `a certificate that only the directory has is trusted, at the price of one connection`()
    async throws
  {
    _ = try TLSIdentity("other", certificate: directory["bundles/other.pem"])
    try directory.write(
      "certificates/" + identity.nameInDirectory, try directory.text("bundles/server.pem"))
    try await withServer(
      configuration(bundle: "other.pem"), identity: identity, script: answering { $0.target }
    ) { server, client in
      let first = try await client.send(request(server))
      #expect(first.text == "/k")
      #expect(server.connectionCount == 2)
      let second = try await client.send(request(server, .fresh))
      #expect(second.text == "/k")
      #expect(server.connectionCount == 3)
      #expect(await client.statistics.requestsSent == 2)
    }
  }

  @Test func `a certificate that neither file nor directory has is refused`() async throws {
    _ = try TLSIdentity("other", certificate: directory["bundles/other.pem"])
    try await withServer(
      configuration(bundle: "other.pem"), identity: identity, script: answering { $0.target }
    ) { server, client in
      let error = try #require(
        await #expect(throws: TransportError.self) { try await client.send(request(server)) })
      #expect(error.certificate == .unknownAuthority)
      #expect(identity.sessions.made == 0)
    }
  }

  @Test func `without a file of certificates the directory is used from the start`() {
    #expect(CertificateDirectory(path: "/certificates", file: nil).use == .included)
    #expect(CertificateDirectory(path: nil, file: "/bundle.pem").use == .included)
    #expect(CertificateDirectory(path: "/certificates", file: "/bundle.pem").use == .leftOut)
  }

  @Test(
    arguments: [
      (nil, 16 << 10), (4096, 16 << 10), (8 << 10, 16 << 10), (40 << 10, 48 << 10), (1 << 20, 256 << 10),
    ] as [(Int?, Int)])
  func `the buffer for sending is no larger than the request`(body: Int?, buffer: Int) {
    let request = HTTPRequest(
      method: .put, url: "https://h/k", body: body.map { BytesBody([UInt8](repeating: 0, count: $0)) })
    #expect(EasyHandle.sendBufferBytes(for: request) == buffer)
  }
}
