import LoopThread
import Synchronization

/// Ends the pauses of requests that wait for their retry when the service answers after an outage.
///
/// A request that has failed four times pauses for up to eight seconds. The service may be back long before,
/// and other work waits for this request. If only some requests fail, others are answered all the time; then
/// each pause lasts as long as the request's own back-off.
package final class ServiceRecovery: Sendable {
  /// How long no request must have been answered, so that an answer counts as the end of an outage.
  static let shortestOutage: Duration = .seconds(2)

  /// The recovery that ends the pause of this task; nil if the server itself requested the pause.
  @TaskLocal static var current: ServiceRecovery?

  private let firstFailure = Mutex<ContinuousClock.Instant?>(nil)
  private let paused = PausedTasks()

  package init() {}

  /// How many requests pause that the end of an outage would wake.
  var waitingCount: Int { paused.count }

  func noteFailure(at now: ContinuousClock.Instant = .now) {
    firstFailure.withLock { $0 = $0 ?? now }
  }

  func noteAnswer(at now: ContinuousClock.Instant = .now) {
    let start = firstFailure.withLock { first in
      defer { first = nil }
      return first
    }
    if let start, now - start >= Self.shortestOutage { paused.wakeAll() }
  }

  /// Waits for a duration, or until the outage of this task ends, or until the end of the run begins.
  ///
  /// - Throws: `CancellationError`.
  package static func pause(for duration: Duration) async throws {
    let patience = FinalPatience.current.flatMap { $0.hasBegun ? nil : $0 }
    guard current != nil || patience != nil else { return try await TaskThreads.pause(for: duration) }
    try await withThrowingTaskGroup(of: Void.self) { [current] group in
      group.addTask { try await TaskThreads.pause(for: duration) }
      if let current { group.addTask { await current.paused.wait() } }
      if let patience { group.addTask { await patience.waitForEnd() } }
      defer { group.cancelAll() }
      try await group.next()
    }
    try Task.checkCancellation()
  }
}
