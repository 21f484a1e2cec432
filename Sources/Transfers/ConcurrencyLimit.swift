/// How many requests may be in flight: all that the user allows, until the server asks for less.
///
/// Additive increase, multiplicative decrease, as TCP shares a link (RFC 5681 §3.1): a `SlowDown` halves, and each round of
/// successes adds one. Pure; the instants are the caller's, in nanoseconds.
struct ConcurrencyLimit: Sendable {
  /// Requests that were in flight together are refused together: that is one sign, not ten.
  static let cutIntervalNanoseconds: Int64 = 1_000_000_000

  let maximum: Int64
  private var exact: Double
  private var lastCut: Int64?

  init(maximum: Int64) {
    self.maximum = maximum
    exact = Double(maximum)
  }

  var current: Int64 { Int64(exact) }

  mutating func slowDown(at now: Int64) {
    if let lastCut, now - lastCut < Self.cutIntervalNanoseconds { return }
    lastCut = now
    exact = max(1, exact / 2)
  }

  mutating func succeed() {
    exact = min(Double(maximum), exact + 1 / exact)
  }
}
