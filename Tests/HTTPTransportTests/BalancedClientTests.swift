import Dispatch
import Glibc
import HTTPTransport
import Synchronization
import Testing

/// Which loop carries what. A sink is called on its loop's thread, which tells the loops apart.
@Suite struct BalancedClientTests {
  @Test func `large transfers that overlap are shared by the loops`() async throws {
    let threads = try await threads(of: 4, loops: 2, width: 4)
    #expect(threads.count == 4)
    #expect(Set(threads).count == 2)
    for thread in Set(threads) { #expect(threads.count { $0 == thread } == 2) }
  }

  @Test func `transfers that follow one another stay with one loop and its connection`() async throws {
    #expect(Set(try await threads(of: 4, loops: 3, width: 1)).count == 1)
  }

  @Test func `small requests stay with one connection while they follow one another`() async throws {
    let connections = Mutex(0)
    let script: ScriptedServer.Script = { connection in
      connections.withLock { $0 += 1 }
      while let head = try connection.readHead() {
        try connection.readBody(head.contentLength)
        try connection.respond(body: "ok")
      }
    }
    try await withBalancedClient(loops: 2, script: script) { server, client in
      for _ in 0..<5 {
        let put = HTTPRequest(method: .put, url: server.url, body: BytesBody(Array("hello".utf8)))
        let answer = try await client.send(put)
        #expect(answer.text == "ok")
      }
    }
    #expect(connections.withLock { $0 } == 1)
  }

  @Test func `a transfer that failed no longer counts`() async throws {
    // Each is cut off; were they counted for ever, the fourth would not be where the first was.
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        return
      }
    }
    try await withBalancedClient(loops: 2, script: script) { server, client in
      var seen: [UInt] = []
      for _ in 0..<4 {
        let sink = ThreadSink()
        await #expect(throws: TransportError.self) {
          _ = try await client.send(HTTPRequest(method: .get, url: server.url, sink: sink))
        }
        seen += sink.threads
      }
      #expect(seen.count == 4)
      #expect(Set(seen).count == 1)
    }
  }

  @Test func `a closed client sends nothing more`() async throws {
    try await withBalancedClient(loops: 2, script: answering { _ in "ok" }) { server, client in
      await client.close()
      let error = await #expect(throws: TransportError.self) {
        _ = try await client.send(HTTPRequest(method: .get, url: server.url, sink: ThreadSink()))
      }
      #expect(error?.kind == .closed)
    }
  }

  /// The threads that carried so many downloads, of which `width` are in flight at any time.
  private func threads(of count: Int, loops: Int, width: Int) async throws -> [UInt] {
    let arrived = DispatchSemaphore(value: 0)
    let released = DispatchSemaphore(value: 0)
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil {
        arrived.signal()
        released.wait()
        try connection.respond(body: "content")
      }
    }
    let sink = ThreadSink()
    try await withBalancedClient(loops: loops, script: script) { server, client in
      for _ in 0..<(count / width) {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<width {
            group.addTask {
              _ = try await client.send(HTTPRequest(method: .get, url: server.url, sink: sink))
            }
          }
          for _ in 0..<width { await wait(for: arrived) }
          for _ in 0..<width { released.signal() }
          try await group.waitForAll()
        }
      }
    }
    return sink.threads
  }
}

private func withBalancedClient(
  loops: Int, script: @escaping ScriptedServer.Script,
  body: (ScriptedServer, BalancedClient) async throws -> Void
) async throws {
  let server = try ScriptedServer(script)
  let client = try BalancedClient(CurlClient.Configuration(), loops: loops)
  let result: Result<Void, any Error>
  do { result = .success(try await body(server, client)) } catch { result = .failure(error) }
  await client.close()
  server.stop()
  try result.get()
}

/// Remembers which thread brought each response.
private final class ThreadSink: ResponseSink {
  private let seen = Mutex<[UInt]>([])

  var threads: [UInt] { seen.withLock { $0 } }

  func begin(_ head: HTTPResponse) { seen.withLock { $0.append(UInt(pthread_self())) } }

  func receive(_ bytes: UnsafeRawBufferPointer) {}
}
