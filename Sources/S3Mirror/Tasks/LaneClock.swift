import MirrorModel

/// By what a lane tells the time of its ticks, its settling and its back-off. Times that are only reported come from the system.
protocol LaneClock: Sendable {
  var now: Instant { get }
  /// Returns at the next ring of the bell, when the time has come, or when the task is cancelled.
  func wait(for bell: Doorbell, until deadline: Instant?) async
}

struct SystemClock: LaneClock {
  var now: Instant { .now }

  func wait(for bell: Doorbell, until deadline: Instant?) async { await bell.wait(until: deadline) }
}
