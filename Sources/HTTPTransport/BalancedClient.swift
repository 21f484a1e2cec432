import Synchronization

/// Several clients as one: each large transfer goes to the one that carries the fewest of them.
///
/// One loop's thread receives, hashes and writes a GB/s or two, and a fast link brings more. A small request goes to the loop
/// that the asking task runs on, so that no thread has to wake another, else to the first: a loop that is awake serves many
/// of them at a turn.
package final class BalancedClient: HTTPClient {
  private let clients: [CurlClient]
  /// Large transfers in flight, a number a client.
  private let loads: Mutex<[Int]>

  /// - Parameters:
  ///   - configuration: of each client; rate limits hold for all together.
  ///   - loops: how many clients, and so threads, there are; at least 1.
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

  /// 256 KiB take some 0.2 ms to send: longer than a wake-up.
  private static let largeBodyBytes: Int64 = 256 << 10

  /// What has a sink is a download whose length only the caller knows; small ones come into memory.
  private static func isLarge(_ request: HTTPRequest) -> Bool {
    request.sink != nil || (request.body?.byteCount ?? 0) > largeBodyBytes
  }

  /// Bounds how long a server may be silent from now on, in requests under way too.
  package func limitSilence(seconds: Int) async {
    for client in clients { await client.limitSilence(seconds: seconds) }
  }

  /// Returns when every loop has come round.
  package func answer() async {
    for client in clients { await client.answer() }
  }

  /// Fails what is in flight with `.closed`, ends the threads and closes the connections. Safe to call twice.
  package func close() async {
    for client in clients { await client.close() }
  }
}
