import CCurl
import Dispatch
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import HTTPTransport

/// What breaks on the way, and how it is named.
@Suite struct FailureTests {
  @Test func `a connection that died while idle is replaced`() async throws {
    // The second request of a connection is read and then left without an answer.
    let script: ScriptedServer.Script = { connection in
      guard try connection.readHead() != nil else { return }
      try connection.respond(body: "\(connection.index)")
      _ = try connection.readHead()
    }
    try await withServer(script: script) { server, client in
      let request = HTTPRequest(method: .get, url: server.url)
      let response = try await client.send(request)
      #expect(response.text == "1")
      let next = try await client.send(request)
      #expect(next.text == "2")
    }
  }

  @Test func `a connection that died under an upload is replaced, or named stale`() async throws {
    let size = 8 << 20
    let script: ScriptedServer.Script = { connection in
      guard let first = try connection.readHead() else { return }
      try connection.readBody(first.contentLength)
      try connection.respond(body: "\(connection.index)")
      guard try connection.readHead() != nil else { return }
      connection.reset()
    }
    try await withServer(script: script) { server, client in
      let request = HTTPRequest(method: .put, url: server.url, body: PatternBody(byteCount: Int64(size)))
      let response = try await client.send(request)
      #expect(response.text == "1")
      // Which of the two depends on whether the reset is seen in reading or in writing.
      do {
        let response = try await client.send(request)
        #expect(response.text == "2")
      } catch let error as TransportError {
        #expect(error.kind == .staleConnection, "\(error)")
        let next = try await client.send(request)
        #expect(next.text == "2")
      }
    }
  }

  @Test func `a name that cannot be resolved costs no handle: each attempt fails alike`() async throws {
    // No resolver is asked: a label has 63 bytes at most (RFC 1035, section 2.3.4).
    let unresolvable = "http://\(String(repeating: "a", count: 64)).invalid/"
    try await withServer(script: answering { _ in "here" }) { server, client in
      for _ in 0..<3 {
        let error = try await failure(client, HTTPRequest(method: .get, url: unresolvable))
        #expect(error.kind == .connect, "\(error)")
      }
      let response = try await client.send(HTTPRequest(method: .get, url: server.url))
      #expect(response.text == "here")
    }
  }

  @Test func `a body that ends early is truncated`() async throws {
    let script: ScriptedServer.Script = { connection in
      _ = try connection.readHead()
      try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    }
    try await withServer(script: script) { server, client in
      let error = try await failure(client, HTTPRequest(method: .get, url: server.url))
      #expect(error.kind == .truncated)
    }
  }

  @Test func `a new connection that is cut without an answer is interrupted`() async throws {
    let script: ScriptedServer.Script = { connection in
      _ = try connection.readHead()
      connection.reset()
    }
    try await withServer(script: script) { server, client in
      let error = try await failure(client, HTTPRequest(method: .get, url: server.url))
      #expect(error.kind == .interrupted)
    }
  }

  @Test func `a port that nobody listens on is a connect failure`() async throws {
    let client = try CurlClient()
    let url = "http://127.0.0.1:\(try ScriptedServer.unusedPort())/bucket/key?X-Secret=1"
    let error = try await failure(
      client, HTTPRequest(method: .get, url: url, headers: ["Authorization": "hidden-credential"]))
    #expect(error.kind == .connect)
    #expect(error.message.hasPrefix("GET 127.0.0.1:"))
    #expect(!error.message.contains("X-Secret"))
    #expect(!error.message.contains("hidden-credential"))
    await client.close()
  }

  @Test(.promise("FAIL-1"))
  func `silence beyond the limit is a timeout`() async throws {
    let script: ScriptedServer.Script = { connection in
      _ = try connection.readHead()
      connection.awaitEnd()
    }
    try await withServer(script: script) { server, client in
      var request = HTTPRequest(method: .get, url: server.url)
      request.silenceSeconds = 1
      let error = try await failure(client, request)
      #expect(error.kind == .timeout)
    }
  }

  @Test(.promise("FAIL-1"))
  func `a server is not silent while a slow link still carries the request to it`() async throws {
    let script: ScriptedServer.Script = { connection in
      connection.receiveLittle()
      guard let head = try connection.readHead() else { return }
      try connection.readBody(head.contentLength) { _ in usleep(60_000) }
      try connection.respond(body: "done")
    }
    try await withServer(script: script) { server, client in
      var request = HTTPRequest(method: .put, url: server.url, body: PatternBody(byteCount: 3 << 20))
      request.silenceSeconds = 1
      let response = try await client.send(request)
      #expect(response.text == "done")
    }
  }

  @Test func `a limit that comes later holds for a request under way, too`() async throws {
    let hasArrived = Latch()
    let script: ScriptedServer.Script = { connection in
      _ = try connection.readHead()
      Task { await hasArrived.open() }
      connection.awaitEnd()
    }
    try await withServer(script: script) { server, client in
      var request = HTTPRequest(method: .get, url: server.url)
      request.silenceSeconds = 3600
      async let error = failure(client, request)
      await hasArrived.wait()
      await client.limitSilence(seconds: 1)
      let kind = try await error.kind
      #expect(kind == .timeout)
    }
  }

  @Test(.promise("FAIL-6"))
  func `after a silence no connection is used again that was idle when it began`() async throws {
    // From the first silence on, every connection that is older is dead.
    let isFrozen = Atomic(false)
    let script: ScriptedServer.Script = { connection in
      while let head = try connection.readHead() {
        if head.target == "/freeze" { isFrozen.store(true, ordering: .sequentiallyConsistent) }
        if connection.index <= 3 && isFrozen.load(ordering: .sequentiallyConsistent) {
          return connection.awaitEnd()
        }
        // So that three requests at one time take three connections.
        if head.target == "/three" { usleep(200_000) }
        try connection.respond(body: "\(connection.index)")
      }
    }
    try await withServer(script: script) { server, client in
      @Sendable func ask(_ path: String, patience: Int = 60) async throws -> String {
        var request = HTTPRequest(method: .get, url: server.url + path)
        request.silenceSeconds = patience
        return try await client.send(request).text
      }
      try await withThrowingTaskGroup { group in
        for _ in 0..<3 { group.addTask { try await ask("/three") } }
        try await group.waitForAll()
      }
      await #expect(throws: TransportError.self) { _ = try await ask("/freeze", patience: 3) }
      let next = try await ask("/")
      #expect(next == "4")
    }
  }

  @Test func `an answer that comes before the upload's end is the response`() async throws {
    let script: ScriptedServer.Script = { connection in
      _ = try connection.readHead()
      try connection.respond("403 Forbidden", fields: ["Connection: close"], body: "<Error>denied</Error>")
      // Reading on until the client gives up keeps the kernel from answering its bytes with a reset.
      connection.awaitEnd()
    }
    try await withServer(script: script) { server, client in
      let response = try await client.send(
        HTTPRequest(method: .put, url: server.url, body: PatternBody(byteCount: 64 << 20)))
      #expect(response.status == 403)
      #expect(response.text == "<Error>denied</Error>")
    }
  }

  @Test func `an early answer counts although the connection breaks after it`() async throws {
    let script: ScriptedServer.Script = { connection in
      guard let head = try connection.readHead() else { return }
      try connection.readBody(head.contentLength)
      try connection.write("HTTP/1.1 503 Slow Down\r\nContent-Length: 1000\r\n\r\n<Error>")
    }
    try await withServer(script: script) { server, client in
      let response = try await client.send(
        HTTPRequest(method: .put, url: server.url, body: BytesBody(Array("body".utf8))))
      #expect(response.status == 503)
      #expect(response.text == "<Error>")
    }
  }

  @Test func `a peer that does not speak TLS is a TLS failure`() async throws {
    let script: ScriptedServer.Script = { connection in
      try connection.write("HTTP/1.1 400 Bad Request\r\n\r\n")
      connection.awaitEnd()
    }
    try await withServer(script: script) { server, client in
      let url = "https://127.0.0.1:\(server.port)/"
      let error = try await failure(client, HTTPRequest(method: .get, url: url))
      #expect(error.kind == .tls)
    }
  }

  @Test(arguments: [EndOfHandshake.close, .reset])
  func `a connection that is cut in the TLS handshake is interrupted`(end: EndOfHandshake) async throws {
    let script: ScriptedServer.Script = { connection in
      // The five bytes of a TLS record's header (RFC 8446 §5.1): the handshake has begun.
      try connection.readBody(5)
      if end == .reset { connection.reset() }
    }
    try await withServer(script: script) { server, client in
      let url = "https://127.0.0.1:\(server.port)/"
      let error = try await failure(client, HTTPRequest(method: .get, url: url))
      #expect(error.kind == .interrupted, "\(error)")
    }
  }

  enum EndOfHandshake { case close, reset }

  @Test func `a CA bundle that cannot be read is found at once`() throws {
    var configuration = CurlClient.Configuration()
    configuration.caBundlePath = "/nonexistent/bundle.pem"
    let error = #expect(throws: TransportError.self) { _ = try CurlClient(configuration) }
    #expect(error?.kind == .invalid)
    #expect(error?.message.contains("/nonexistent/bundle.pem") == true)
  }

  @Test func `a proxy's password is not in the error`() async throws {
    var configuration = CurlClient.Configuration()
    configuration.proxy = "nonsense://user:hidden@127.0.0.1:1"
    let client = try CurlClient(configuration)
    let error = try await failure(client, HTTPRequest(method: .get, url: "http://127.0.0.1:1/"))
    #expect(!error.message.contains("hidden"))
    await client.close()
  }

  @Test(arguments: [
    (CURLE_GOT_NOTHING, ErrorTriage.Connection.reused, Int64(0), TransportError.Kind.staleConnection),
    (CURLE_SEND_ERROR, .reused, 0, .staleConnection),
    (CURLE_RECV_ERROR, .reused, 0, .staleConnection),
    (CURLE_RECV_ERROR, .reused, 1, .interrupted),
    (CURLE_SEND_ERROR, .fresh, 0, .interrupted),
    (CURLE_PARTIAL_FILE, .reused, 0, .truncated),
    (CURLE_OPERATION_TIMEDOUT, .reused, 0, .timeout),
    (CURLE_PEER_FAILED_VERIFICATION, .fresh, 0, .tls),
    (CURLE_COULDNT_RESOLVE_HOST, .fresh, 0, .connect),
    (CURLE_URL_MALFORMAT, .fresh, 0, .invalid),
  ])
  func `a result has one kind`(
    result: CURLcode, connection: ErrorTriage.Connection, bytesReceived: Int64, kind: TransportError.Kind
  ) {
    let triage = ErrorTriage(
      result: result, message: "", connection: connection, bytesReceived: bytesReceived, request: .unsent)
    #expect(triage.kind == kind)
  }

  @Test(
    .promise("CRED-7"),
    arguments: [
      (CURLE_PEER_FAILED_VERIFICATION, 10, CertificateFault.expired),
      (CURLE_PEER_FAILED_VERIFICATION, 9, .notYetValid),
      (CURLE_PEER_FAILED_VERIFICATION, 20, .unknownAuthority),
      (CURLE_PEER_FAILED_VERIFICATION, 18, .unknownAuthority),
      (CURLE_PEER_FAILED_VERIFICATION, 19, .unknownAuthority),
      (CURLE_PEER_FAILED_VERIFICATION, 0, .wrongHost),
      (CURLE_PEER_FAILED_VERIFICATION, 1, .wrongHost),
      (CURLE_PEER_FAILED_VERIFICATION, 62, .wrongHost), (CURLE_PEER_FAILED_VERIFICATION, 23, .revoked),
      (CURLE_SSL_CACERT_BADFILE, 0, .unusableBundle), (CURLE_SSL_CONNECT_ERROR, 0, nil),
      (CURLE_COULDNT_CONNECT, 20, nil),
      (CURLE_PEER_FAILED_VERIFICATION, 7, nil),
    ] as [(CURLcode, Int, CertificateFault?)])
  func `a certificate's fault has a name of its own`(result: CURLcode, verdict: Int, fault: CertificateFault?)
  {
    let triage = ErrorTriage(
      result: result, message: "", connection: .fresh, bytesReceived: 0, verifyResult: verdict)
    #expect(triage.error(target: "GET h").certificate == fault)
  }

  @Test func `a CA bundle that holds no certificate is said to be one`() async throws {
    var configuration = CurlClient.Configuration()
    configuration.caBundlePath = "/etc/hostname"
    let client = try CurlClient(configuration)
    let server = try ScriptedServer { $0.awaitEnd() }
    let error = try await failure(client, HTTPRequest(method: .get, url: "https://127.0.0.1:\(server.port)/"))
    #expect(error.kind == .tls)
    #expect(error.certificate == .unusableBundle)
    await client.close()
    server.stop()
  }

  @Test(arguments: [
    CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY, CURLE_OUT_OF_MEMORY, CURLE_WRITE_ERROR,
    CURLE_BAD_FUNCTION_ARGUMENT, CURLE_BAD_CONTENT_ENCODING,
  ])
  func `what libcurl does not like once the request has left is the answer's fault`(result: CURLcode) {
    let triage = ErrorTriage(
      result: result, message: "", connection: .fresh, bytesReceived: 1, request: .sent)
    #expect(triage.kind == .garbled)
  }

  @Test(
    .promise("XFER-6"),
    arguments: [
      "HTTP/1.1", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nETag: \"abc", "SSH-2.0-x\r\n",
      "garbage\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
      "HTTP/1.1 200 OK\r\nX-Long: \(String(repeating: "x", count: 400_000))\r\n\r\n",
      "HTTP/1.1 200 OK\r\n"
        + String(repeating: "X-Many: \(String(repeating: "x", count: 1_000))\r\n", count: 400),
    ])
  func `an answer that is cut or garbled in its head is a fault of the way, and the next request works`(
    answer: String
  ) async throws {
    let script: ScriptedServer.Script = { connection in
      while let head = try connection.readHead() {
        try connection.readBody(head.contentLength)
        if connection.index == 1 {
          try connection.write(answer)
          return
        }
        try connection.respond(body: "whole")
      }
    }
    try await withServer(script: script) { server, client in
      let put = HTTPRequest(method: .put, url: server.url, body: BytesBody(Array("body".utf8)))
      let error = try await failure(client, put)
      #expect([.interrupted, .garbled, .truncated].contains(error.kind), "\(error)")
      #expect(!error.message.contains("No error"), "\(error)")
      let response = try await client.send(put)
      #expect(response.text == "whole")
    }
  }

  private func failure(_ client: CurlClient, _ request: HTTPRequest) async throws -> TransportError {
    try #require(await #expect(throws: TransportError.self) { try await client.send(request) })
  }
}
