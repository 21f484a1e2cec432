import MirrorModel
import Synchronization

@testable import S3Mirror

/// A clock that stands until a test moves it to the next deadline.
///
/// Each reading moves it a little, because events that are noted later must have later times: a delete waits only for
/// earlier changes.
final class ManualClock: LaneClock {
  private struct Sleeper {
    var bell: Doorbell
    /// Nil for a task that only the bell wakes.
    var deadline: Instant?
  }

  private struct State {
    var now = Instant(nanoseconds: 0)
    var sleepers: [Int: Sleeper] = [:]
    var lastSleeper = 0
  }

  private let state = Mutex(State())

  private static let step: Duration = .microseconds(10)

  var now: Instant {
    state.withLock { state in
      state.now += Self.step
      return state.now
    }
  }

  func wait(for bell: Doorbell, until deadline: Instant?) async {
    let number = state.withLock { state -> Int? in
      if let deadline, deadline <= state.now { return nil }
      state.lastSleeper += 1
      state.sleepers[state.lastSleeper] = Sleeper(bell: bell, deadline: deadline)
      return state.lastSleeper
    }
    guard let number else { return }
    await bell.wait(until: nil)
    state.withLock { $0.sleepers[number] = nil }
  }

  /// Whether a task waits for this clock and nothing has woken the task yet.
  var isAwaited: Bool { state.withLock { $0.sleepers.values.contains { $0.bell.isAwaited } } }

  /// Moves the time to the earliest deadline of a task that waits, and wakes the task.
  ///
  /// - Returns: false if no task waits for a deadline. Then the time stays as it is.
  @discardableResult
  func advance() -> Bool {
    let due = state.withLock { state -> [Doorbell] in
      let deadlines = state.sleepers.values.compactMap { $0.bell.isAwaited ? $0.deadline : nil }
      guard let next = deadlines.min() else { return [] }
      state.now = max(state.now, next)
      let now = state.now
      return state.sleepers.values.filter { $0.deadline.map { $0 <= now } ?? false }.map(\.bell)
    }
    for bell in due { bell.ring() }
    return !due.isEmpty
  }
}
