import Synchronization

/// How long a run that ends waits for a service that does not answer.
///
/// While a run goes on, patience costs nothing: each request has its attempts, and each path its back-off. At the end they would add up,
/// attempt by attempt and pass by pass, to a quarter of an hour against a service that is silent. So from the moment that the end begins:
/// a request is sent again only while the service answers, and a run to which nothing answers and in which nothing moves gives up.
/// A transfer that moves is never cut.
package final class FinalPatience: Sendable {
  /// A request is sent again only so long after the latest answer, or the beginning of the end.
  static let repetition: Duration = .seconds(15)
  /// When nothing was answered and nothing moved for so long, no request is sent any more, listings apart.
  static let silence: Duration = .seconds(30)
  /// How long an attempt may stay without an answer at the end, in seconds, whatever it was given before.
  package static let attemptSeconds = 30

  /// The patience of the run that this task's request belongs to.
  @TaskLocal static var current: FinalPatience?

  private struct State {
    var end: ContinuousClock.Instant?
    var lastAnswer: ContinuousClock.Instant?
    var lastMovement: ContinuousClock.Instant?
  }

  private let state = Mutex(State())
  private let paused = PausedTasks()

  package init() {}

  /// The run ends from now on: requests that pause before they are sent again go on at once.
  package func begin(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.end = $0.end ?? now }
    paused.wakeAll()
  }

  /// The service has answered a request.
  func noteAnswer(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.lastAnswer = now }
  }

  /// A transfer has moved on that was begun long ago.
  package func noteMovement(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.lastMovement = now }
  }

  /// Whether a request may be sent again at an instant.
  func mayRepeat(at instant: ContinuousClock.Instant) -> Bool {
    state.withLock { state in
      guard let end = state.end else { return true }
      return instant - max(end, state.lastAnswer ?? end) < Self.repetition
    }
  }

  /// Whether nothing has been answered and nothing has moved for so long that nothing more is sent.
  func isExhausted(at now: ContinuousClock.Instant = .now) -> Bool {
    state.withLock { state in
      guard let end = state.end else { return false }
      let latest = [end, state.lastAnswer, state.lastMovement].compactMap { $0 }.max() ?? end
      return now - latest >= Self.silence
    }
  }

  /// Returns when the end begins, or the task is cancelled.
  func waitForEnd() async { await paused.wait { hasBegun } }

  var hasBegun: Bool { state.withLock { $0.end != nil } }
}
