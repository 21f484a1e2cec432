import MirrorModel

/// How many requests may be in flight: as many as the user allows, until the server asks for fewer.
///
/// Additive increase, multiplicative decrease, as in TCP's congestion control (RFC 5681 §3.1): a `SlowDown`
/// halves the number, and each round of successes adds one. If the number is measured, `ConcurrencyTuner`
/// decides. A pure value; the caller passes instants in nanoseconds.
struct ConcurrencyLimit: Sendable {
  /// Requests that are in flight together are refused together. That counts as one signal, not ten.
  static let cutIntervalNanoseconds: Int64 = 1_000_000_000

  let maximum: Int64
  private var exact: Double
  private var lastCut: Int64?
  private(set) var tuner: ConcurrencyTuner?

  init(maximum: Int64, isMeasured: Bool = false) {
    self.maximum = maximum
    exact = Double(maximum)
    if isMeasured { tuner = ConcurrencyTuner(most: Int(maximum)) }
  }

  /// How many parts of files may be in flight, however many requests may be.
  var mostParts: Int64 { tuner == nil ? maximum : min(maximum, Int64(ConcurrencyTuner.mostParts)) }

  var current: Int64 { tuner.map { Int64($0.limit) } ?? Int64(exact) }

  mutating func slowDown(at now: Int64) {
    if tuner != nil {
      tuner?.slowDown(at: now)
      return
    }
    if let lastCut, now - lastCut < Self.cutIntervalNanoseconds { return }
    lastCut = now
    exact = max(1, exact / 2)
  }

  /// Records that a request begins while no other is in flight.
  mutating func begin(at now: Int64) { tuner?.begin(at: now) }

  /// - Parameters:
  ///   - byteCount: nil for a request without a payload.
  ///   - isContended: whether another request waits for its turn.
  ///   - inFlight: how many requests are in flight, this one included.
  mutating func succeed(byteCount: Int64?, isContended: Bool, inFlight: Int64, at now: Int64) {
    guard tuner == nil else {
      if let byteCount {
        tuner?.succeed(byteCount: byteCount, isContended: isContended, inFlight: Int(inFlight), at: now)
      }
      return
    }
    exact = min(Double(maximum), exact + 1 / exact)
  }
}
