import Synchronization

/// Several clients as one. Each large transfer goes to the client that carries the fewest of them.
///
/// One loop thread receives, hashes and writes one or two GB/s, and a fast link delivers more. A small
/// request goes to the loop on which the calling task runs, so that no thread has to wake another; otherwise
/// to the first loop, because a loop that is awake serves many requests in one turn.
package final class BalancedClient: HTTPClient {
  private let clients: [CurlClient]
  /// The number of large transfers in flight, for each client.
  private let loads: Mutex<[Int]>

  /// - Parameters:
  ///   - configuration: the configuration of each client. Rate limits apply to all clients together.
  ///   - loops: the number of clients, each with its own thread; at least 1.
  package init(_ configuration: CurlClient.Configuration, loops: Int) throws {
    clients = try (0..<loops).map { _ in try CurlClient(configuration) }
    loads = Mutex([Int](repeating: 0, count: loops))
  }

  package var executors: [any TaskExecutor] { clients.flatMap(\.executors) }

  package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    guard Self.isLarge(request) else {
      return try await (clients.first(where: \.isCurrent) ?? clients[0]).send(request)
    }
    let chosen = loads.withLock { loads in
      let chosen = loads.indices.min { loads[$0] < loads[$1] } ?? 0
      loads[chosen] += 1
      return chosen
    }
    defer { loads.withLock { $0[chosen] -= 1 } }
    return try await clients[chosen].send(request)
  }

  /// 256 KiB: sending this takes about 0.2 ms, longer than a wake-up.
  private static let largeBodyBytes: Int64 = 256 << 10

  /// A request with a sink is a large download; its length is known only to the caller. Small downloads go
  /// into memory.
  private static func isLarge(_ request: HTTPRequest) -> Bool {
    request.sink != nil || (request.body?.byteCount ?? 0) > largeBodyBytes
  }

  /// Limits how long a server may be silent from now on, including requests in flight.
  package func limitSilence(seconds: Int) async {
    for client in clients { await client.limitSilence(seconds: seconds) }
  }

  /// Returns once every loop has answered.
  package func answer() async {
    for client in clients { await client.answer() }
  }

  /// Fails all requests in flight with `.closed`, ends the threads and closes the connections. A second call
  /// has no effect.
  package func close() async {
    for client in clients { await client.close() }
  }
}
