import MirrorModel
import Synchronization

@testable import S3Mirror

/// A clock that stands until a test moves it.
final class ManualClock: LaneClock {
  private struct Sleeper {
    var bell: Doorbell
    var deadline: Instant
  }

  private struct State {
    var now = ContinuousClock.now
    var sleepers: [Int: Sleeper] = [:]
    var lastSleeper = 0
  }

  private let state = Mutex(State())

  var now: Instant { state.withLock { $0.now } }

  func wait(for bell: Doorbell, until deadline: Instant?) async {
    guard let deadline else { return await bell.wait(until: nil) }
    let number = state.withLock { state -> Int? in
      guard deadline > state.now else { return nil }
      state.lastSleeper += 1
      state.sleepers[state.lastSleeper] = Sleeper(bell: bell, deadline: deadline)
      return state.lastSleeper
    }
    guard let number else { return }
    await bell.wait(until: nil)
    state.withLock { $0.sleepers[number] = nil }
  }

  /// Moves the time on, and wakes what it was waited for.
  func advance(by duration: Duration) {
    let due = state.withLock { state -> [Doorbell] in
      state.now += duration
      let now = state.now
      return state.sleepers.values.filter { $0.deadline <= now }.map(\.bell)
    }
    for bell in due { bell.ring() }
  }
}
