import Synchronization

/// Decides which idle connections may be reused after a silent transfer.
///
/// When a firewall restarts or a node of a load balancer fails, the bytes of all connections that were open
/// by then are usually lost, without a reset. Each of these idle connections would cost a request its whole
/// patience. So a connection that was last used before the latest silence of two seconds began is not reused.
/// With a service that is only slow, this costs some additional handshakes. All clients of one configuration
/// share this object.
final class ConnectionTrust: Sendable {
  private let latestSilence = Mutex<ContinuousClock.Instant?>(nil)

  func noteSilence(since start: ContinuousClock.Instant) {
    latestSilence.withLock { $0 = max($0 ?? start, start) }
  }

  /// The longest idle time of a reusable connection, in whole seconds. libcurl closes connections that were
  /// idle for longer (CURLOPT_MAXAGE_CONN(3)).
  func mostIdleSeconds(at now: ContinuousClock.Instant = .now) -> Int {
    guard let start = latestSilence.withLock({ $0 }) else { return Self.usual }
    // libcurl rounds the idle time down.
    return min(Self.usual, max(1, Int((now - start).components.seconds) - 1))
  }

  /// libcurl's default.
  private static let usual = 118
}
