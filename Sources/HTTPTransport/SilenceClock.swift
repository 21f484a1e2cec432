/// How long the other end of a transfer has been silent, as far as looks now and then can tell.
///
/// libcurl's own limit (CURLOPT_LOW_SPEED_TIME(3)) does not serve here. It compares an average over some six seconds, so an answer that
/// is lost would be waited for six seconds longer than is meant. And it takes a byte that lies in the kernel's queue for one that has
/// arrived, so a server would seem silent while a slow link still carries what it is to answer.
struct SilenceClock {
  /// What a transfer has come to.
  struct Reading: Hashable {
    /// Sent to the kernel and received, heads and bodies.
    var bytesMoved: Int64
    /// Sent, and not acknowledged by the other end's kernel yet.
    var bytesUnacknowledged: Int
  }

  /// How often transfers are looked at. A silence is found so much too late at the most.
  static let periodMilliseconds: Int32 = 250
  static let period: Duration = .milliseconds(periodMilliseconds)
  /// A transfer that moves so long after its beginning does more than fill buffers.
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
    /// It moves, and was begun over ten seconds ago.
    case movesLate
    case silent
    /// It has been silent for two seconds, longer than a healthy service mostly takes.
    case suspicious
    /// It has been silent for as long as it may.
    case over
  }

  /// - Parameter reading: nil while it is nobody's turn to speak: before the request is sent, which has a limit of its own
  ///   (CURLOPT_CONNECTTIMEOUT(3)), and while a rate limit holds the transfer up.
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
