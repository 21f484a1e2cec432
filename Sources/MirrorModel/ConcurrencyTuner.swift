/// How many requests with a payload may be in flight, found by measuring (XFER-13).
///
/// One connection carries what the network and the service give one connection; on S3 that is 85 to 90 MB/s
/// (AWS, "Performance design patterns for Amazon S3"). So the best number differs from network to network. The
/// number doubles or quadruples while that raises the goodput. Then it is kept, and from time to time a larger and
/// a smaller number are tried. If the service asks for fewer requests, the number is halved, as in TCP's
/// congestion control (RFC 5681 §3.1). A number that the user has fixed changes for this last reason only.
///
/// A number never leaps: a service that refuses more requests than it takes refuses few then, before the number
/// falls.
///
/// A pure value: the caller passes successes, and instants in nanoseconds of a monotonic clock.
package struct ConcurrencyTuner: Sendable {
  /// Why the number is as it is.
  package enum Reason: String, Sendable, Hashable {
    /// The user has fixed the number.
    case fixed
    /// More requests have brought more so far.
    case rising
    /// More requests brought nothing.
    case enough
    /// The service asked for fewer requests.
    case slowedDown = "slowed-down"
  }

  private enum Phase: Hashable {
    case rising
    case keeping
    /// The rate of the kept number is measured, before another number is tried.
    case comparing
    case trying(Direction, insteadOf: Int, rate: Double)
    /// One more for each round of successes, up to this number.
    case recovering(upTo: Int)
  }

  private enum Direction: Hashable { case up, down }

  /// The way to a larger number: one more for each success, and all of them after `riseTime`.
  private struct Rise {
    var from: Int
    var to: Int
    var start: Int64
  }

  /// A stretch of time in which the goodput is measured.
  private struct Window {
    var start: Int64
    var work = 0.0
    var requests = 0
    /// Successes of the round that has begun: a round has as many as requests are in flight.
    var ofRound = 0
    /// Successes while another request waited for its turn. Otherwise the number is not what limits.
    var contended = 0
  }

  package static let start = 10
  /// So many small files are answered in one round of the network's latency.
  package static let most = 256
  /// So many connections fill a link of 5 GB/s on S3, and each part needs a buffer.
  package static let mostParts = 64
  private static let second: Int64 = 1_000_000_000
  /// A refusal is answered in less time, so a rise past what the service takes ends early. The first second sees
  /// two or three rises.
  private static let riseTime = second / 8
  /// How often `climb` is to be called during a rise, in nanoseconds.
  package static let climbPause = second / 100
  /// So long after a cut the number is kept, or a larger one is tried.
  private static let calm = 10 * second
  /// A request costs the service and the client as much as so many bytes, so small files count by their number.
  private static let bytesOfRequest = 65_536.0

  package let most: Int
  private let isFixed: Bool
  private var least: Int { min(4, most) }
  package private(set) var limit: Int
  package private(set) var reason: Reason
  /// How often the number was cut. Requests that are in flight together are refused together, which is one signal.
  /// So a request remembers this number at its beginning.
  package private(set) var cuts = 0
  private var phase: Phase
  private var rise: Rise?
  private var window: Window?
  /// Requests that began before the tried number applied. They would show the rate of the number before.
  private var answersBeforeTrial = 0
  /// The number before the last rise, and its rate; nil before the first measurement.
  private var numberBefore = 0
  private var earlierRate: Double?
  private var lastSuccess: Int64?
  /// The last cut, or the last time that a fixed number was raised after one.
  private var lastCut: Int64 = 0
  /// The first of the cuts that followed one another within a second, and the number before it.
  private var burst: (start: Int64, limit: Int)?
  private var nextTrial: Int64 = 0
  private var trialPause = Self.firstTrialPause
  private var nextDirection = Direction.up
  private var successesOfRound = 0

  private static let firstTrialPause = 2 * second
  private static let longestTrialPause = 32 * second
  /// After a pause without requests the earlier measurements say nothing.
  private static let idle = 2 * second

  /// - Parameter isFixed: whether the number is `most`, unless the service asks for fewer requests.
  package init(most: Int = Self.most, isFixed: Bool = false) {
    self.most = max(1, most)
    self.isFixed = isFixed
    limit = isFixed ? self.most : min(Self.start, self.most)
    phase = isFixed ? .keeping : .rising
    reason = isFixed ? .fixed : .rising
  }

  /// How many parts of files may be in flight, however many requests may be.
  package var mostParts: Int { isFixed ? most : min(most, Self.mostParts) }

  // MARK: Facts

  /// Records that a request begins while no other is in flight.
  package mutating func begin(at now: Int64) {
    if let lastSuccess {
      guard now - lastSuccess > Self.idle else { return }
      forgetMeasurements(at: now)
    }
    if window == nil { window = Window(start: now) }
  }

  /// A number that was not shown to bring more is given back, or bursts of requests would raise it unproved.
  private mutating func forgetMeasurements(at now: Int64) {
    window = nil
    rise = nil
    guard phase == .rising else { return giveUpTrial(at: now) }
    if earlierRate != nil { limit = numberBefore }
    earlierRate = nil
  }

  /// Records a successful request.
  ///
  /// - Parameters:
  ///   - byteCount: its payload.
  ///   - isContended: whether another request waits for its turn.
  ///   - inFlight: how many requests are in flight, this one included. The parts of one file cannot take all.
  package mutating func succeed(byteCount: Int64, isContended: Bool, inFlight: Int, at now: Int64) {
    defer { lastSuccess = now }
    if case .recovering(let goal) = phase { return recover(upTo: goal, at: now) }
    if rise != nil { return climb(by: 1, inFlight: inFlight, at: now) }
    if phase == .keeping {
      guard !isFixed, now >= nextTrial, most > least else { return }
      phase = .comparing
      window = nil
    }
    if case .trying = phase, answersBeforeTrial > 0 {
      answersBeforeTrial -= 1
      if answersBeforeTrial == 0 { window = Window(start: now) }
      return
    }
    guard var window else {
      window = Window(start: now)
      return
    }
    window.work += Double(byteCount) + Self.bytesOfRequest
    window.requests += 1
    window.ofRound += 1
    if isContended { window.contended += 1 }
    // Requests that begin together end together. A window that ended within a round would count too many of
    // them, or too few.
    let isRound = window.ofRound >= min(limit, inFlight)
    if isRound { window.ofRound = 0 }
    self.window = window
    guard isRound, now - window.start >= (phase == .rising ? Self.second / 10 : Self.second / 2) else {
      return
    }
    self.window = Window(start: now)
    guard window.contended * 10 >= window.requests * 8 else {
      if phase != .rising { giveUpTrial(at: now) }
      return
    }
    conclude(rate: window.work / Double(now - window.start), at: now)
    if case .trying(.down, _, _) = phase { answersBeforeTrial = inFlight - 1 }
  }

  /// Whether the number is on its way to a larger one.
  package var isRising: Bool { rise != nil }

  /// Carries a rise on as time goes by, because the parts of large files may all end together.
  package mutating func climb(inFlight: Int, at now: Int64) { climb(by: 0, inFlight: inFlight, at: now) }

  private mutating func climb(by successes: Int, inFlight: Int, at now: Int64) {
    guard let rise else { return }
    let share = Double(now - rise.start) / Double(Self.riseTime)
    let byTime = rise.from + Int(Double(rise.to - rise.from) * min(share, 1))
    limit = min(rise.to, max(limit + successes, byTime))
    guard limit == rise.to else { return }
    self.rise = nil
    window = Window(start: now)
    if case .trying = phase { answersBeforeTrial = inFlight - 1 }
  }

  /// Halves the number, because the service asked for fewer requests.
  ///
  /// - Parameter cutsBefore: `cuts` at the beginning of the refused request.
  package mutating func slowDown(begunAfter cutsBefore: Int, at now: Int64) {
    guard cutsBefore == cuts else { return }
    cuts += 1
    lastCut = now
    // The first cut may not be enough. How far the number may rise again is known once a rise has met the limit.
    let first = burst.flatMap { now - $0.start <= Self.second ? $0 : nil } ?? (start: now, limit: limit)
    burst = first
    limit = max(1, limit / 2)
    reason = .slowedDown
    window = nil
    rise = nil
    successesOfRound = 0
    trialPause = min(trialPause * 2, Self.longestTrialPause)
    phase = .recovering(upTo: max(limit, first.limit * 9 / 10))
  }

  // MARK: Decisions

  private mutating func conclude(rate: Double, at now: Int64) {
    switch phase {
    case .rising:
      if let earlierRate, rate < earlierRate * 1.1 {
        limit = numberBefore
        return keep(.enough, at: now)
      }
      guard limit < most else { return keep(.rising, at: now) }
      // Twice the number has brought almost twice as much, so the best number is far away.
      let isFar = earlierRate.map { rate > $0 * 1.7 } ?? false
      numberBefore = limit
      earlierRate = rate
      rise = Rise(from: limit, to: min(most, limit * (isFar ? 4 : 2)), start: now)
    case .comparing:
      let direction = limit == most ? .down : limit <= least ? .up : nextDirection
      nextDirection = direction == .up ? .down : .up
      phase = .trying(direction, insteadOf: limit, rate: rate)
      if direction == .up {
        rise = Rise(from: limit, to: min(most, limit + max(1, limit / 4)), start: now)
      } else {
        limit = max(least, limit - max(1, limit / 6))
      }
    case .trying(let direction, let before, let earlier):
      let isBetter = direction == .up ? rate > earlier * 1.06 : rate > earlier * 0.97
      if !isBetter { limit = before }
      trialPause = isBetter ? Self.firstTrialPause : min(trialPause * 2, Self.longestTrialPause)
      // What brought something is tried again.
      if isBetter { nextDirection = direction }
      keep(isBetter && direction == .up ? .rising : .enough, at: now)
    case .keeping, .recovering: break
    }
  }

  private mutating func keep(_ reason: Reason, at now: Int64) {
    self.reason = reason
    phase = .keeping
    nextTrial = now + trialPause
    window = nil
  }

  private mutating func giveUpTrial(at now: Int64) {
    if case .trying(_, let before, _) = phase { limit = before }
    rise = nil
    if case .recovering = phase { return }
    phase = .keeping
    nextTrial = now + trialPause
    window = nil
  }

  private mutating func recover(upTo goal: Int, at now: Int64) {
    successesOfRound += 1
    if successesOfRound >= limit, limit < goal {
      limit += 1
      successesOfRound = 0
    }
    guard limit >= goal, now - lastCut > Self.calm else { return }
    guard isFixed else { return keep(.slowedDown, at: now) }
    lastCut = now
    if limit == most {
      reason = .fixed
      phase = .keeping
    } else {
      phase = .recovering(upTo: min(most, limit + max(1, limit / 4)))
    }
  }
}
