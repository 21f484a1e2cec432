/// A service that did not answer while it was last asked for anything.
///
/// Whatever waits would fail as well, each file after attempts of its own. So one path at a time is tried until the service
/// answers again; then everything is due at once, whatever back-off it had.
struct Outage: Sendable, Hashable {
  /// Time between two tries. The attempts of each take some seconds besides, so an end is noticed within about twice this.
  static let probePause: Duration = .seconds(5)

  var nextProbe: Instant
}

/// What a pass learned of the service.
package enum ServiceState: Sendable, Hashable {
  /// Nothing was asked, or the answers concern single paths.
  case unknown
  /// Something was published or deleted.
  case answering
  /// Nothing was, and requests failed for reasons that would fail any other.
  case unreachable
}
