import Synchronization

/// How long a run waits at its end for a service that does not answer.
///
/// During a run, patience costs nothing: each request has its attempts and each path its back-off. At the end
/// these would add up, by attempts and passes, to a quarter of an hour against a silent service. So once the
/// end has begun, a request is repeated only while the service answers, and a run without any answer or
/// movement gives up. A transfer that moves is never cut.
package final class FinalPatience: Sendable {
  /// How long after the latest answer, or after the beginning of the end, a request may be repeated.
  static let repetition: Duration = .seconds(15)
  /// After this time without an answer and without movement, no request is sent any more, except listings.
  static let silence: Duration = .seconds(30)
  /// How long an attempt may wait for its answer at the end, in seconds, whatever its earlier limit was.
  package static let attemptSeconds = 30

  /// The patience of the run to which this task's request belongs.
  @TaskLocal static var current: FinalPatience?

  private struct State {
    var end: ContinuousClock.Instant?
    var lastAnswer: ContinuousClock.Instant?
    var lastMovement: ContinuousClock.Instant?
  }

  private let state = Mutex(State())
  private let paused = PausedTasks()

  package init() {}

  /// Begins the end of the run. Requests that pause before a retry continue at once.
  package func begin(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.end = $0.end ?? now }
    paused.wakeAll()
  }

  /// Records that the service has answered a request.
  func noteAnswer(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.lastAnswer = now }
  }

  /// Records movement in a transfer that was begun earlier.
  package func noteMovement(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.lastMovement = now }
  }

  /// Whether a request may be repeated at an instant.
  func mayRepeat(at instant: ContinuousClock.Instant) -> Bool {
    state.withLock { state in
      guard let end = state.end else { return true }
      return instant - max(end, state.lastAnswer ?? end) < Self.repetition
    }
  }

  /// Whether the time without an answer and without movement is so long that nothing more is sent.
  func isExhausted(at now: ContinuousClock.Instant = .now) -> Bool {
    state.withLock { state in
      guard let end = state.end else { return false }
      let latest = [end, state.lastAnswer, state.lastMovement].compactMap { $0 }.max() ?? end
      return now - latest >= Self.silence
    }
  }

  /// Returns at the beginning of the end, or when the task is cancelled.
  func waitForEnd() async { await paused.wait { hasBegun } }

  var hasBegun: Bool { state.withLock { $0.end != nil } }
}
