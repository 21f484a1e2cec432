import FoundationEssentials
import LoopThread
import SigV4
import Synchronization

/// Temporary credentials. They are fetched again before they expire, or when the service has refused them.
///
/// Callers during a fetch wait for that fetch, so a thousand requests ask the source once. A cancelled caller
/// stops waiting at once, and the fetch ends when its last caller has left.
package final class RefreshingCredentials: CredentialsProvider {
  /// How long before the expiry a new fetch is due. 5 minutes: AWS promises new instance credentials at least
  /// this early (EC2 User Guide, "Retrieve security credentials from instance metadata").
  static let leadSeconds: TimeInterval = 5 * 60
  /// The pause after a failed fetch. It doubles with each further failure, so that a source in trouble is not
  /// overloaded.
  static let firstPauseSeconds: TimeInterval = 1
  static let longestPauseSeconds: TimeInterval = 60
  /// After a source has returned the refused credentials again, it is not asked for these again within this
  /// time.
  package static let renewalPauseSeconds: TimeInterval = 60

  private struct Fetch {
    var id: UInt64
    var task: Task<Void, Never>
    var waiters: [UInt64: CheckedContinuation<AWSCredentials, any Error>]
  }

  private struct State {
    var current: AWSCredentials?
    /// The error of the last fetch, until a fetch succeeds.
    var failure: (any Error)?
    var failures = 0
    var earliestFetch = Date.distantPast
    /// The credentials for which a renewal was last requested.
    var refused: AWSCredentials?
    var earliestRenewal = Date.distantPast
    var fetch: Fetch?
    var lastID: UInt64 = 0

    mutating func nextID() -> UInt64 {
      lastID += 1
      return lastID
    }

    func secondsRemaining(at now: Date) -> TimeInterval {
      guard let current else { return 0 }
      return current.expiration?.timeIntervalSince(now) ?? .infinity
    }
  }

  private let now: @Sendable () -> Date
  private let renewalPauseSeconds: TimeInterval
  private let fetch: @Sendable () async throws -> AWSCredentials
  private let state: Mutex<State>

  /// - Parameters:
  ///   - current: credentials that are already known.
  ///   - fetch: must end by itself, and soon after a cancellation of its task.
  package init(
    current: AWSCredentials? = nil, now: @escaping @Sendable () -> Date,
    renewalPauseSeconds: TimeInterval = RefreshingCredentials.renewalPauseSeconds,
    fetch: @escaping @Sendable () async throws -> AWSCredentials
  ) {
    state = Mutex(State(current: current))
    self.now = now
    self.renewalPauseSeconds = renewalPauseSeconds
    self.fetch = fetch
  }

  package func credentials() async throws -> AWSCredentials {
    let time = now()
    let (known, stale) = state.withLock { state -> (Result<AWSCredentials, any Error>?, AWSCredentials?) in
      let remaining = state.secondsRemaining(at: time)
      let pauses = time < state.earliestFetch
      if let current = state.current, remaining > Self.leadSeconds || (remaining > 0 && pauses) {
        return (.success(current), nil)
      }
      return (pauses ? state.failure.map { .failure($0) } : nil, state.current)
    }
    if let known { return try known.get() }
    do {
      return try await fetched(inPlaceOf: stale)
    } catch let error where !(error is CancellationError) {
      // Valid credentials are used until they expire.
      let time = now()
      let rest = state.withLock { $0.secondsRemaining(at: time) > 0 ? $0.current : nil }
      guard let rest else { throw error }
      return rest
    }
  }

  package func credentials(after refused: AWSCredentials) async throws -> AWSCredentials {
    let time = now()
    let known: AWSCredentials? = state.withLock { state in
      if let current = state.current, current != refused { return current }
      // Later callers join the renewal that is running.
      if state.fetch != nil { return nil }
      if state.refused == refused, time < state.earliestRenewal { return refused }
      state.refused = refused
      state.earliestRenewal = time.addingTimeInterval(renewalPauseSeconds)
      return nil
    }
    if let known { return known }
    return try await fetched(inPlaceOf: refused)
  }

  /// Joins the running fetch, or starts one.
  ///
  /// - Parameter stale: the credentials that the caller has found insufficient; nil if there were none.
  private func fetched(inPlaceOf stale: AWSCredentials?) async throws -> AWSCredentials {
    let waiter = state.withLock { $0.nextID() }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let ended = state.withLock { state -> Result<AWSCredentials, any Error>? in
          // A later cancellation finds the waiter.
          if Task.isCancelled { return .failure(CancellationError()) }
          if state.fetch == nil {
            // A fetch may have ended since the caller looked.
            if let current = state.current, current != stale { return .success(current) }
            let id = state.nextID()
            let task = Task(executorPreference: TaskThreads.current) { [self] in
              end(id, with: await outcome())
            }
            state.fetch = Fetch(id: id, task: task, waiters: [:])
          }
          state.fetch?.waiters[waiter] = continuation
          return nil
        }
        if let ended { continuation.resume(with: ended) }
      }
    } onCancel: {
      withdraw(waiter)
    }
  }

  private func outcome() async -> Result<AWSCredentials, any Error> {
    do {
      return .success(try await fetch())
    } catch {
      return .failure(error)
    }
  }

  private func withdraw(_ waiter: UInt64) {
    let (continuation, task): (CheckedContinuation<AWSCredentials, any Error>?, Task<Void, Never>?) =
      state.withLock { state in
        guard let continuation = state.fetch?.waiters.removeValue(forKey: waiter) else { return (nil, nil) }
        guard let fetch = state.fetch, fetch.waiters.isEmpty else { return (continuation, nil) }
        state.fetch = nil
        // The fetch gave no answer, so it does not count as a renewal.
        state.refused = nil
        return (continuation, fetch.task)
      }
    task?.cancel()
    continuation?.resume(throwing: CancellationError())
  }

  private func end(_ id: UInt64, with outcome: Result<AWSCredentials, any Error>) {
    let time = now()
    let waiters = state.withLock { state -> [CheckedContinuation<AWSCredentials, any Error>] in
      // An abandoned fetch has no waiters.
      guard let fetch = state.fetch, fetch.id == id else { return [] }
      state.fetch = nil
      switch outcome {
      case .success(let credentials):
        state.current = credentials
        state.failure = nil
        state.failures = 0
      case .failure(let error):
        let pause = Self.firstPauseSeconds * pow2(state.failures)
        state.failure = error
        state.failures += 1
        state.earliestFetch = time.addingTimeInterval(min(pause, Self.longestPauseSeconds))
      }
      return Array(fetch.waiters.values)
    }
    for waiter in waiters { waiter.resume(with: outcome) }
  }

  /// 2 to the power of the number of failures, up to a limit.
  private func pow2(_ failures: Int) -> TimeInterval { TimeInterval(1 << min(failures, 10)) }
}
