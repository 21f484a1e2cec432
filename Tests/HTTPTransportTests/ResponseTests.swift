import Glibc
import HTTPTransport
import Synchronization
import Testing

/// What comes back.
@Suite struct ResponseTests {
  @Test func `a response has its status, headers and body`() async throws {
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.respond(
          "404 Not Found", fields: ["ETag: \"x\"", "X-Padded: \t v w \t", "X-Empty:"], body: "gone")
      }
    }
    try await withServer(script: script) { server, client in
      let response = try await client.send(HTTPRequest(method: .get, url: server.url))
      #expect(response.status == 404)
      #expect(response.headers["etag"] == "\"x\"")
      #expect(response.headers["x-padded"] == "v w")
      #expect(response.headers["x-empty"] == "")
      #expect(response.text == "gone")
    }
  }

  @Test func `interim responses are passed over`() async throws {
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.write("HTTP/1.1 103 Early Hints\r\nX-Interim: 1\r\n\r\n")
        try connection.respond("201 Created", fields: ["X-Final: 1"])
      }
    }
    try await withServer(script: script) { server, client in
      let sink = ChecksumSink()
      let response = try await client.send(HTTPRequest(method: .get, url: server.url, sink: sink))
      #expect(response.status == 201)
      #expect(response.headers["X-Interim"] == nil)
      #expect(response.headers["X-Final"] == "1")
      #expect(sink.heads.map(\.status) == [201])
    }
  }

  @Test func `a redirect is returned, not followed`() async throws {
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.respond("307 Temporary Redirect", fields: ["Location: /elsewhere"])
      }
    }
    try await withServer(script: script) { server, client in
      let response = try await client.send(HTTPRequest(method: .get, url: server.url))
      #expect(response.status == 307)
    }
  }

  @Test func `a chunked body is joined and its trailer is no header`() async throws {
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try connection.write("3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")
      }
    }
    try await withServer(script: script) { server, client in
      let response = try await client.send(HTTPRequest(method: .get, url: server.url))
      #expect(response.text == "abcde")
      #expect(response.headers["X-Trailer"] == nil)
    }
  }

  @Test func `a stored content encoding is left alone`() async throws {
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.respond(fields: ["Content-Encoding: gzip"], body: "not really")
      }
    }
    try await withServer(script: script) { server, client in
      let response = try await client.send(HTTPRequest(method: .get, url: server.url))
      #expect(response.text == "not really")
    }
  }

  @Test func `a large body goes through the sink whole`() async throws {
    let size = 64 << 20
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\nETag: x\r\n\r\n")
        for _ in 0..<(size >> 20) { try connection.write(PatternBody.pattern) }
      }
    }
    try await withServer(script: script) { server, client in
      let sink = ChecksumSink()
      let response = try await client.send(HTTPRequest(method: .get, url: server.url, sink: sink))
      #expect(response.body.isEmpty)
      #expect(sink.heads.map { $0.headers["ETag"] } == ["x"])
      #expect(sink.byteCount == size)
      #expect(sink.sum == PatternBody.checksum(size))
      #expect(await client.statistics.bytesReceived > size)
    }
  }

  @Test func `the body of an error goes to memory, not to the sink`() async throws {
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil { try connection.respond("503 Slow Down", body: "<Error/>") }
    }
    try await withServer(script: script) { server, client in
      let sink = ChecksumSink()
      let response = try await client.send(HTTPRequest(method: .get, url: server.url, sink: sink))
      #expect(response.text == "<Error/>")
      #expect(sink.heads.isEmpty)
      #expect(sink.byteCount == 0)
    }
  }

  @Test(arguments: [(ChecksumSink.Fault.begin, "begin"), (.receive, "receive")])
  func `what a sink throws is what the sender gets`(fault: ChecksumSink.Fault, name: String) async throws {
    try await withServer(script: answering { _ in "body" }) { server, client in
      await #expect(throws: TestFailure(name: name)) {
        try await client.send(HTTPRequest(method: .get, url: server.url, sink: ChecksumSink(fault: fault)))
      }
      let response = try await client.send(HTTPRequest(method: .get, url: server.url))
      #expect(response.text == "body")
    }
  }

  @Test func `the server's time ends with the first byte of the response`() async throws {
    let script: ScriptedServer.Script = { connection in
      while let head = try connection.readHead() {
        if head.target == "/late" { usleep(50_000) }
        try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        if head.target == "/slow" { usleep(50_000) }
        try connection.write("b")
      }
    }
    try await withServer(script: script) { server, client in
      let late = try await client.send(HTTPRequest(method: .get, url: server.url + "/late"))
      #expect(try #require(late.wait) >= .milliseconds(50))
      let sink = HeadClock()
      let start = ContinuousClock.now
      let slow = try await client.send(HTTPRequest(method: .get, url: server.url + "/slow", sink: sink))
      // The body comes 50 ms after the head.
      #expect(try #require(slow.wait) <= (try #require(sink.begun)) - start)
    }
  }

  @Test func `a body in memory is bounded`() async throws {
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(17 << 20)\r\n\r\n")
        for _ in 0..<17 { try connection.write(PatternBody.pattern) }
      }
    }
    try await withServer(script: script) { server, client in
      let error = await #expect(throws: TransportError.self) {
        try await client.send(HTTPRequest(method: .get, url: server.url))
      }
      #expect(error?.kind == .garbled)
      #expect(error?.message.contains("16 MiB") == true)
    }
  }
}

/// When a response's head had come.
private final class HeadClock: ResponseSink {
  private let moment = Mutex<ContinuousClock.Instant?>(nil)

  var begun: ContinuousClock.Instant? { moment.withLock { $0 } }

  func begin(_ head: HTTPResponse) { moment.withLock { $0 = .now } }
  func receive(_ bytes: UnsafeRawBufferPointer) {}
}
