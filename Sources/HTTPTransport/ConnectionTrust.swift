import Synchronization

/// Which idle connections may be used again after a transfer met silence.
///
/// What swallows one connection's bytes (a firewall that restarts, a load balancer's node that is lost) mostly swallows those of all that
/// were open by then, and no reset tells of it. Each of the idle ones would cost a request its whole patience, one after another. So a
/// connection that was last used before the latest silence of two seconds began is not used again. A service that is merely slow costs
/// that a handshake for each. Shared by clients that one configuration made.
final class ConnectionTrust: Sendable {
  private let latestSilence = Mutex<ContinuousClock.Instant?>(nil)

  func noteSilence(since start: ContinuousClock.Instant) {
    latestSilence.withLock { $0 = max($0 ?? start, start) }
  }

  /// How long a connection may have been idle to be used again, in whole seconds: libcurl closes those beyond (CURLOPT_MAXAGE_CONN(3)).
  func mostIdleSeconds(at now: ContinuousClock.Instant = .now) -> Int {
    guard let start = latestSilence.withLock({ $0 }) else { return Self.usual }
    // libcurl rounds the time of idleness down.
    return min(Self.usual, max(1, Int((now - start).components.seconds) - 1))
  }

  /// libcurl's default.
  private static let usual = 118
}
