import Synchronization

/// A token bucket: limits the average rate, with bursts of at most a tenth of a second of the rate.
///
/// A pure value. The caller passes instants in nanoseconds of a monotonic clock.
package struct RatePacer: Sendable {
  package let bytesPerSecond: Int64
  /// 20 ms of the rate, the smallest amount that is worth a wake-up. Smaller pieces would cost a system call
  /// each; larger ones would make the transfer uneven.
  package let quantum: Double
  /// 100 ms of the rate, the most that a late loop may make up for. The loop wakes within a few milliseconds,
  /// so this loses nothing.
  private let capacity: Double
  /// The bytes that may pass now; negative after a piece that could not be divided.
  private var credit: Double
  private var updated: Int64

  package init(bytesPerSecond: Int64, at now: Int64) {
    precondition(bytesPerSecond > 0, "a rate is positive")
    self.bytesPerSecond = bytesPerSecond
    quantum = max(1, Double(bytesPerSecond) / 50)
    capacity = max(1, Double(bytesPerSecond) / 10)
    credit = quantum
    updated = now
  }

  /// Takes up to `count` bytes from the credit and returns their number. 0 until a quantum is free.
  package mutating func take(upTo count: Int, at now: Int64) -> Int {
    refill(at: now)
    guard credit >= quantum else { return 0 }
    let taken = min(count, Int(credit))
    credit -= Double(taken)
    return taken
  }

  /// Whether this number of bytes may pass in one piece, for bytes that have already arrived. The credit may
  /// become negative; later pieces then wait.
  package mutating func admit(_ count: Int, at now: Int64) -> Bool {
    refill(at: now)
    guard credit >= quantum else { return false }
    credit -= Double(count)
    return true
  }

  /// How many quanta are free now; as many transfers may resume.
  package mutating func freeQuanta(at now: Int64) -> Int {
    refill(at: now)
    return max(0, Int(credit / quantum))
  }

  /// Nanoseconds until a quantum is free.
  package mutating func nanosecondsUntilFree(at now: Int64) -> Int64 {
    refill(at: now)
    guard credit < quantum else { return 0 }
    return Int64(((quantum - credit) / Double(bytesPerSecond) * 1e9).rounded(.up))
  }

  private mutating func refill(at now: Int64) {
    guard now > updated else { return }
    credit = min(capacity, credit + Double(now - updated) / 1e9 * Double(bytesPerSecond))
    updated = now
  }
}

/// A rate limit that all transfers of all clients share.
package final class RateLimit: Sendable {
  private let pacer: Mutex<RatePacer>
  private let clock: @Sendable () -> Int64

  /// - Parameter clock: a monotonic clock in nanoseconds.
  package init(bytesPerSecond: Int64, clock: @escaping @Sendable () -> Int64 = RateLimit.monotonicClock) {
    self.clock = clock
    pacer = Mutex(RatePacer(bytesPerSecond: bytesPerSecond, at: clock()))
  }

  var bytesPerSecond: Int64 { pacer.withLock { $0.bytesPerSecond } }

  func take(upTo count: Int) -> Int {
    let now = clock()
    return pacer.withLock { $0.take(upTo: count, at: now) }
  }

  func admit(_ count: Int) -> Bool {
    let now = clock()
    return pacer.withLock { $0.admit(count, at: now) }
  }

  func freeQuanta() -> Int {
    let now = clock()
    return pacer.withLock { $0.freeQuanta(at: now) }
  }

  func nanosecondsUntilFree() -> Int64 {
    let now = clock()
    return pacer.withLock { $0.nanosecondsUntilFree(at: now) }
  }

  package static let monotonicClock: @Sendable () -> Int64 = {
    let start = ContinuousClock.Instant.now
    return {
      let (seconds, attoseconds) = start.duration(to: .now).components
      return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
  }()
}
