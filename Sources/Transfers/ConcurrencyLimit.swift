/// How many requests may be in flight: as many as the user allows, until the server asks for fewer.
///
/// Additive increase, multiplicative decrease, as in TCP's congestion control (RFC 5681 §3.1): a `SlowDown`
/// halves the number, and each round of successes adds one. A pure value; the caller passes instants in
/// nanoseconds.
struct ConcurrencyLimit: Sendable {
  /// Requests that are in flight together are refused together. That counts as one signal, not ten.
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
