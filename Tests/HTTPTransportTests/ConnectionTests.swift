import Dispatch
import HTTPTransport
import Synchronization
import Testing

/// How connections are shared, and what ends a transfer from our side.
@Suite struct ConnectionTests {
  @Test func `requests one after another share a connection`() async throws {
    try await withServer(script: answering { $0.target }) { server, client in
      for index in 0..<10 {
        let response = try await client.send(HTTPRequest(method: .get, url: "\(server.url)/\(index)"))
        #expect(response.text == "/\(index)")
      }
      #expect(server.connectionCount == 1)
      let statistics = await client.statistics
      #expect(statistics.requestsSent == 10)
      #expect(statistics.connectionsOpened == 1)
    }
  }

  @Test func `a thousand requests at once share the allowed connections`() async throws {
    var configuration = CurlClient.Configuration()
    configuration.maxConnections = 8
    try await withServer(configuration, script: answering { $0.target }) { server, client in
      try await withThrowingTaskGroup { group in
        for index in 0..<1000 {
          group.addTask {
            let body = index.isMultiple(of: 2) ? BytesBody([UInt8](repeating: 7, count: 4096)) : nil
            let request = HTTPRequest(
              method: body == nil ? .get : .put, url: "\(server.url)/\(index)", body: body)
            let response = try await client.send(request)
            #expect(response.text == "/\(index)")
          }
        }
        try await group.waitForAll()
      }
      #expect(server.peakConnectionCount <= 8)
      #expect(await client.statistics.requestsSent == 1000)
    }
  }

  @Test func `cancelling a task ends its transfer and cuts its connection`() async throws {
    let reached = DispatchSemaphore(value: 0)
    let ended = DispatchSemaphore(value: 0)
    let script: ScriptedServer.Script = { connection in
      _ = try connection.readHead()
      reached.signal()
      connection.awaitEnd()
      ended.signal()
    }
    try await withServer(script: script) { server, client in
      let task = Task { try await client.send(HTTPRequest(method: .get, url: server.url)) }
      await wait(for: reached)
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      await wait(for: ended)
    }
  }

  @Test func `a transfer that waits for a place can be cancelled`() async throws {
    let reached = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let script: ScriptedServer.Script = { connection in
      while let head = try connection.readHead() {
        reached.signal()
        gate.wait()
        try connection.respond(body: head.target)
      }
    }
    var configuration = CurlClient.Configuration()
    configuration.maxConnections = 1
    try await withServer(configuration, script: script) { server, client in
      let first = Task { try await client.send(HTTPRequest(method: .get, url: server.url + "/first")) }
      await wait(for: reached)
      let second = Task.immediate {
        try await client.send(HTTPRequest(method: .get, url: server.url + "/second"))
      }
      second.cancel()
      await #expect(throws: CancellationError.self) { try await second.value }
      gate.signal()
      let response = try await first.value
      #expect(response.text == "/first")
      #expect(await client.statistics.requestsSent == 1)
    }
  }

  @Test func `a task that is cancelled already sends nothing`() async throws {
    try await withServer(script: answering { _ in "" }) { server, client in
      let url = server.url
      let task = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return try await client.send(HTTPRequest(method: .get, url: url))
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(server.connectionCount == 0)
    }
  }

  @Test func `closing fails what is in flight and what comes later`() async throws {
    let reached = DispatchSemaphore(value: 0)
    let script: ScriptedServer.Script = { connection in
      _ = try connection.readHead()
      reached.signal()
      connection.awaitEnd()
    }
    var configuration = CurlClient.Configuration()
    configuration.maxConnections = 1
    try await withServer(configuration, script: script) { server, client in
      let request = HTTPRequest(method: .get, url: server.url)
      let running = Task { try await client.send(request) }
      await wait(for: reached)
      let waiting = Task.immediate { try await client.send(request) }
      await client.close()
      for task in [running, waiting] {
        let error = await #expect(throws: TransportError.self) { try await task.value }
        #expect(error?.kind == .closed)
      }
      let error = await #expect(throws: TransportError.self) { try await client.send(request) }
      #expect(error?.kind == .closed)
    }
  }

  @Test func `a closed client has closed its connections`() async throws {
    let ended = DispatchSemaphore(value: 0)
    let script: ScriptedServer.Script = { connection in
      while try connection.readHead() != nil { try connection.respond() }
      ended.signal()
    }
    try await withServer(script: script) { server, client in
      _ = try await client.send(HTTPRequest(method: .get, url: server.url))
      await client.close()
      await wait(for: ended)
      #expect(await client.statistics.requestsSent == 1)
    }
  }

  @Test func `the proxy that is named is used`() async throws {
    let proxy = try ScriptedServer(answering { $0.requestLine })
    var configuration = CurlClient.Configuration()
    configuration.proxy = proxy.url
    let client = try CurlClient(configuration)
    let response = try await client.send(HTTPRequest(method: .get, url: "http://s3.invalid/key"))
    #expect(response.text == "GET http://s3.invalid/key HTTP/1.1")
    await client.close()
    proxy.stop()
  }
}
