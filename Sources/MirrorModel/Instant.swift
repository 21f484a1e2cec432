/// A moment of a clock that never goes back. Callers pass in every instant, so a test can run everything here with its
/// own clock.
///
/// `ContinuousClock.Instant` is not used: its layout belongs to the standard library, so each copy of a value that has
/// one calls functions that look up how it is copied. An entry of a changed file has several instants, and is copied
/// some thirty times.
package struct Instant: Sendable, Hashable, Comparable {
  /// Since a moment that the clock chooses, such as the start of the machine.
  package var nanoseconds: Int64

  package init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  package static func - (end: Instant, start: Instant) -> Duration {
    .nanoseconds(end.nanoseconds.subtractingSaturated(start.nanoseconds))
  }

  package static func + (instant: Instant, duration: Duration) -> Instant {
    Instant(nanoseconds: instant.nanoseconds.addingSaturated(duration.wholeNanoseconds))
  }

  package static func - (instant: Instant, duration: Duration) -> Instant {
    Instant(nanoseconds: instant.nanoseconds.subtractingSaturated(duration.wholeNanoseconds))
  }

  package static func += (instant: inout Instant, duration: Duration) { instant = instant + duration }
}

extension Duration {
  /// At most 292 years, forwards or back.
  package var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (whole, isTooLarge) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if isTooLarge { return seconds < 0 ? .min : .max }
    // Rounded, because a duration of 0.2 s that was made from a Double is a little less.
    let half: Int64 = attoseconds < 0 ? -500_000_000 : 500_000_000
    return whole.addingSaturated((attoseconds + half) / 1_000_000_000)
  }
}
