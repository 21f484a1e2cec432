import Glibc

/// Nanoseconds since 1970-01-01 UTC (clock_gettime(2), CLOCK_REALTIME).
func wallClockNanoseconds() -> Int64 {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
