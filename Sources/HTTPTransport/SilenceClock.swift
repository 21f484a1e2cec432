/// Measures how long the other end of a transfer has been silent, by checks at intervals.
///
/// libcurl's own limit (CURLOPT_LOW_SPEED_TIME(3)) does not suffice, for two reasons. It compares an average
/// over about six seconds, so it reports a lost answer six seconds late. And it counts a byte in the kernel's
/// queue as delivered, so a server would seem silent while a slow link still carries the request.
struct SilenceClock {
  /// The state of a transfer at one check.
  struct Reading: Hashable {
    /// Bytes sent to the kernel and received bytes, heads and bodies.
    var bytesMoved: Int64
    /// Bytes that were sent but not yet acknowledged by the other end's kernel.
    var bytesUnacknowledged: Int
  }

  /// The time between two checks. A silence is noticed late by at most this time.
  static let periodMilliseconds: Int32 = 250
  static let period: Duration = .milliseconds(periodMilliseconds)
  /// A transfer that still moves after this time does more than fill buffers.
  private static let late: Duration = .seconds(10)
  private static let suspicion: Duration = .seconds(2)

  private(set) var limit: Duration
  private let start: ContinuousClock.Instant
  private var last: Reading?
  private(set) var lastMovement: ContinuousClock.Instant

  init(limit: Duration, at start: ContinuousClock.Instant = .now) {
    (self.limit, self.start) = (limit, start)
    lastMovement = start
  }

  mutating func shorten(to limit: Duration) {
    self.limit = min(self.limit, limit)
  }

  enum Verdict: Hashable {
    case moves
    /// The transfer moves and began more than ten seconds ago.
    case movesLate
    case silent
    /// Silent for two seconds, which is unusual for a healthy service.
    case suspicious
    /// Silent for longer than its limit.
    case over
  }

  /// - Parameter reading: nil while no byte is expected: before the request is sent, which has a limit of its
  ///   own (CURLOPT_CONNECTTIMEOUT(3)), and while a rate limit pauses the transfer.
  mutating func look(at now: ContinuousClock.Instant, _ reading: Reading?) -> Verdict {
    guard let reading, reading == last else {
      let isLate = now - start >= Self.late && reading != nil && last != nil
      (last, lastMovement) = (reading, now)
      return isLate ? .movesLate : .moves
    }
    let silence = now - lastMovement
    return silence >= limit ? .over : silence >= Self.suspicion ? .suspicious : .silent
  }
}
