import HTTPTransport
import Synchronization
import Testing

/// What goes over the wire.
@Suite struct RequestTests {
  private let echo = answering { ([$0.requestLine] + $0.fields).joined(separator: "\n") }

  @Test func `a path is sent as it is`() async throws {
    try await withServer(script: echo) { server, client in
      let path = "/a/../b/./c%2Fd//e?x=%20&y"
      let response = try await client.send(HTTPRequest(method: .get, url: server.url + path))
      #expect(response.text.split(separator: "\n").first == "GET \(path) HTTP/1.1")
    }
  }

  @Test func `nothing is sent that was not asked for`() async throws {
    try await withServer(script: echo) { server, client in
      let response = try await client.send(
        HTTPRequest(method: .put, url: server.url + "/k", body: BytesBody(Array("hello".utf8))))
      let names = response.text.split(separator: "\n").dropFirst().map { $0.prefix { $0 != ":" } }
      #expect(Set(names) == ["Host", "User-Agent", "Content-Length"])
    }
  }

  @Test(arguments: [1, 4096, (64 << 10) - 1, 64 << 10, 200_000])
  func `a body that lies in memory is sent as any other`(byteCount: Int) async throws {
    let body = StableBody(byteCount: byteCount)
    let sum = Mutex<UInt>(0)
    try await withServer(script: { connection in
      while let head = try connection.readHead() {
        try connection.readBody(head.contentLength) { piece in sum.withLock { $0 = crc($0, piece) } }
        try connection.respond(body: ([head.requestLine] + head.fields).joined(separator: "\n"))
      }
    }) { server, client in
      let response = try await client.send(HTTPRequest(method: .put, url: server.url + "/k", body: body))
      let lines = response.text.split(separator: "\n")
      #expect(lines.first == "PUT /k HTTP/1.1")
      #expect(
        Set(lines.dropFirst().map { $0.prefix { $0 != ":" } }) == ["Host", "User-Agent", "Content-Length"])
      #expect(lines.contains("Content-Length: \(byteCount)"))
      #expect(sum.withLock { $0 } == body.checksum)
      let next = try await client.send(HTTPRequest(method: .get, url: server.url + "/n"))
      #expect(next.text.hasPrefix("GET /n HTTP/1.1"))
      #expect(!next.text.contains("Content-Length"))
    }
  }

  @Test func `a small body that lies in memory comes with its head`() async throws {
    let sizes = Mutex<[Int]>([])
    try await withServer(script: { connection in
      while let head = try connection.readHead() {
        sizes.withLock { $0.append(connection.bufferedCount) }
        try connection.readBody(head.contentLength)
        try connection.respond()
      }
    }) { server, client in
      _ = try await client.send(
        HTTPRequest(method: .put, url: server.url + "/k", body: StableBody(byteCount: 4096)))
    }
    #expect(sizes.withLock { $0 } == [4096])
  }

  @Test(arguments: [HTTPMethod.put, .post])
  func `a request that has no body says so`(method: HTTPMethod) async throws {
    try await withServer(script: echo) { server, client in
      let response = try await client.send(HTTPRequest(method: method, url: server.url + "/k"))
      #expect(response.text.contains("\nContent-Length: 0"))
      #expect(response.text.contains("\(method.rawValue) /k"))
    }
  }

  @Test func `headers are sent as given, the empty one too`() async throws {
    try await withServer(script: echo) { server, client in
      let response = try await client.send(
        HTTPRequest(
          method: .get, url: server.url,
          headers: ["X-One": "a  b", "x-empty": "", "User-Agent": "mine", "Accept": "x/y"]))
      let lines = response.text.split(separator: "\n")
      for line in ["X-One: a  b", "x-empty:", "User-Agent: mine", "Accept: x/y"] {
        #expect(lines.contains { $0 == line }, "\(line)")
      }
    }
  }

  @Test func `one handle serves every method in turn`() async throws {
    var configuration = CurlClient.Configuration()
    configuration.maxConnections = 1
    try await withServer(configuration, script: echo) { server, client in
      let body = BytesBody([1, 2, 3])
      for (method, body) in [
        (HTTPMethod.put, body), (.get, nil), (.head, nil), (.get, nil), (.post, body), (.delete, nil),
        (.put, nil),
        (.head, nil), (.post, nil),
      ] as [(HTTPMethod, BytesBody?)] {
        let response = try await client.send(
          HTTPRequest(method: method, url: server.url + "/m", headers: ["X-M": method.rawValue], body: body))
        #expect(response.status == 200)
        if method == .head {
          #expect(response.body.isEmpty)
        } else {
          #expect(response.text.hasPrefix("\(method.rawValue) /m HTTP/1.1"))
          #expect(response.text.contains("X-M: \(method.rawValue)"))
          #expect(response.text.contains("Content-Length: 3") == (body != nil))
        }
      }
      #expect(server.connectionCount == 1)
    }
  }

  @Test func `each request has its own headers, however many the one before it had`() async throws {
    try await withServer(script: echo) { server, client in
      for count in [1, 60, 2, 61, 0] {
        var headers = HTTPHeaders()
        for index in 0..<count { headers.add("x-\(index)", String(repeating: "v", count: 100 + index)) }
        let response = try await client.send(HTTPRequest(method: .get, url: server.url, headers: headers))
        let sent = response.text.split(separator: "\n").filter { $0.hasPrefix("x-") }.map(String.init)
        #expect(sent == headers.fields.map { "\($0.name): \($0.value)" })
      }
    }
  }

  @Test func `a line break in a header is refused`() async throws {
    try await withServer(script: echo) { server, client in
      let request = HTTPRequest(method: .get, url: server.url, headers: ["X-A": "secret\r\nX-B: 2"])
      let error = await #expect(throws: TransportError.self) { try await client.send(request) }
      #expect(error?.kind == .invalid)
      #expect(error?.message.contains("secret") == false)
    }
  }

  @Test(arguments: ["ftp://127.0.0.1/x", "file:///etc/passwd", "127.0.0.1", "http://", ""])
  func `a URL that is not HTTP's is refused`(url: String) async throws {
    let client = try CurlClient()
    let error = await #expect(throws: TransportError.self) {
      try await client.send(HTTPRequest(method: .get, url: url))
    }
    #expect(error?.kind == .invalid)
    await client.close()
  }

  @Test func `a large body arrives whole`() async throws {
    let size = 64 << 20
    let script: ScriptedServer.Script = { connection in
      while let head = try connection.readHead() {
        var sum: UInt = 0
        try connection.readBody(head.contentLength) { sum = crc(sum, $0) }
        try connection.respond(body: "\(head.contentLength) \(sum)")
      }
    }
    try await withServer(script: script) { server, client in
      let response = try await client.send(
        HTTPRequest(method: .put, url: server.url + "/big", body: PatternBody(byteCount: Int64(size))))
      #expect(response.text == "\(size) \(PatternBody.checksum(size))")
      #expect(await client.statistics.bytesSent > size)
    }
  }

  @Test func `what a body throws is what the sender gets`() async throws {
    try await withServer(script: echo) { server, client in
      await #expect(throws: TestFailure(name: "body")) {
        try await client.send(HTTPRequest(method: .put, url: server.url, body: FailingBody()))
      }
      let response = try await client.send(HTTPRequest(method: .get, url: server.url))
      #expect(response.status == 200)
    }
  }

  @Test func `a body that ends early is an error, not a stall`() async throws {
    try await withServer(script: echo) { server, client in
      let error = await #expect(throws: TransportError.self) {
        try await client.send(HTTPRequest(method: .put, url: server.url, body: ShortBody()))
      }
      #expect(error?.kind == .invalid)
    }
  }
}
