import LoopThread
import Synchronization

/// Ends the pauses of requests that wait to be sent again when the service answers after an outage.
///
/// A request that has failed four times pauses for up to eight seconds. The service may be back long before, and whatever
/// waits for that request waits too. Where only some requests fail, others are answered all the time; then each pause
/// lasts as long as its request's own back-off says.
package final class ServiceRecovery: Sendable {
  /// For so long no request must have been answered for an answer to be the end of an outage.
  static let shortestOutage: Duration = .seconds(2)

  /// The recovery that ends the pause of this task; nil where the server itself asked for the pause.
  @TaskLocal static var current: ServiceRecovery?

  private struct State {
    var firstFailure: ContinuousClock.Instant?
    var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    var cancelled: Set<Int> = []
    var lastID = 0
  }

  private let state = Mutex(State())

  package init() {}

  /// Requests whose pauses the end of an outage would cut short.
  var waitingCount: Int { state.withLock { $0.waiting.count } }

  func noteFailure(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.firstFailure = $0.firstFailure ?? now }
  }

  func noteAnswer(at now: ContinuousClock.Instant = .now) {
    let ready = state.withLock { state -> [CheckedContinuation<Void, Never>] in
      guard let first = state.firstFailure else { return [] }
      state.firstFailure = nil
      guard now - first >= Self.shortestOutage else { return [] }
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for continuation in ready { continuation.resume() }
  }

  /// Waits for a length of time, or until the outage ends that this task waits for, or the end of the run begins.
  ///
  /// - Throws: `CancellationError`.
  package static func pause(for duration: Duration) async throws {
    let patience = FinalPatience.current.flatMap { $0.hasBegun ? nil : $0 }
    guard current != nil || patience != nil else { return try await TaskThreads.pause(for: duration) }
    try await withThrowingTaskGroup(of: Void.self) { [current] group in
      group.addTask { try await TaskThreads.pause(for: duration) }
      if let current { group.addTask { await current.wait() } }
      if let patience { group.addTask { await patience.waitForEnd() } }
      defer { group.cancelAll() }
      try await group.next()
    }
    try Task.checkCancellation()
  }

  /// Returns when an outage ends, or the task is cancelled.
  private func wait() async {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isCancelled = state.withLock { state in
          if state.cancelled.remove(id) != nil { return true }
          state.waiting[id] = continuation
          return false
        }
        if isCancelled { continuation.resume() }
      }
    } onCancel: {
      let continuation = state.withLock { state in
        let continuation = state.waiting.removeValue(forKey: id)
        if continuation == nil { state.cancelled.insert(id) }
        return continuation
      }
      continuation?.resume()
    }
    state.withLock { _ = $0.cancelled.remove(id) }
  }
}
