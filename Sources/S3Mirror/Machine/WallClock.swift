import Glibc
import MirrorModel

/// Nanoseconds since 1970-01-01 UTC (clock_gettime(2), CLOCK_REALTIME).
func wallClockNanoseconds() -> Int64 { nanoseconds(of: CLOCK_REALTIME) }

extension Instant {
  /// The present moment of the clock that counts on while the machine sleeps (clock_gettime(2), CLOCK_BOOTTIME), as
  /// `ContinuousClock` does.
  static var now: Instant { Instant(nanoseconds: S3Mirror.nanoseconds(of: CLOCK_BOOTTIME)) }
}

/// The call fails only for a clock that does not exist.
private func nanoseconds(of clock: clockid_t) -> Int64 {
  var now = timespec()
  clock_gettime(clock, &now)
  return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
