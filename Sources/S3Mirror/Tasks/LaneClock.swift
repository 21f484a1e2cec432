import MirrorModel

/// The clock of a lane's ticks, settling and back-off. Times that are only reported come from the system.
protocol LaneClock: Sendable {
  var now: Instant { get }
  /// Returns at the bell's next ring, at the deadline, or when the task is cancelled.
  func wait(for bell: Doorbell, until deadline: Instant?) async
}

struct SystemClock: LaneClock {
  var now: Instant { .now }

  func wait(for bell: Doorbell, until deadline: Instant?) async { await bell.wait(until: deadline) }
}
