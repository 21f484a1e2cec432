import MirrorModel

/// An estimate of the server's clock by the `Date` of its answers.
///
/// `Date` has whole seconds (RFC 9110 §5.6.7), and the answer was made at some moment between the request and its
/// arrival here. So one answer gives the server's clock with an error of half a second and half of that time.
struct ServerClock: Sendable {
  /// The largest error of an estimate that counts, in nanoseconds.
  static let uncertainty: Int64 = 5_000_000_000

  private static let dateStep: Int64 = 1_000_000_000
  /// Clocks of machines drift by some 10 to 100 microseconds a second, and may be set. After this time a less
  /// exact answer replaces the estimate, in nanoseconds.
  private static let validity: Int64 = 600_000_000_000

  private struct Estimate {
    /// The server's clock minus the steady clock, in nanoseconds.
    var offset: Int64
    var error: Int64
    var time: Int64
  }

  private var estimate: Estimate?

  /// - Parameters:
  ///   - date: the server's clock in the answer.
  ///   - sent: when the request was sent, by the steady clock, in nanoseconds.
  ///   - received: when the answer was received.
  mutating func note(date: Int64, sent: Int64, received: Int64) {
    let (earliest, latest) = (date - received, date + Self.dateStep - sent)
    let new = Estimate(offset: (earliest + latest) / 2, error: (latest - earliest) / 2, time: received)
    guard new.error <= Self.uncertainty else { return }
    if let estimate, new.error >= estimate.error, received - estimate.time < Self.validity { return }
    estimate = new
  }

  /// The server's clock at a moment of the steady clock; nil before the first answer that counts.
  func server(at steady: Int64) -> ServerTime? { estimate.map { $0.offset + steady } }
}
