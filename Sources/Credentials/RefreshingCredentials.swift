import FoundationEssentials
import LoopThread
import SigV4
import Synchronization

/// Credentials that end, fetched anew before they do, or when the service has refused them.
///
/// Callers that come while a fetch is under way wait for that one: a thousand requests ask the source once. A caller that is
/// cancelled stops waiting at once, and the fetch ends when the last one has gone.
package final class RefreshingCredentials: CredentialsProvider {
  /// How long before the end a new fetch is due. 5 minutes: AWS promises new instance credentials at least that early
  /// (EC2 User Guide, "Retrieve security credentials from instance metadata").
  static let leadSeconds: TimeInterval = 5 * 60
  /// The pause after a fetch that failed; it doubles with each further one, so that a source in trouble is not hammered.
  static let firstPauseSeconds: TimeInterval = 1
  static let longestPauseSeconds: TimeInterval = 60
  /// How long a source that has given the refused credentials once more is not asked again for these.
  package static let renewalPauseSeconds: TimeInterval = 60

  private struct Fetch {
    var id: UInt64
    var task: Task<Void, Never>
    var waiters: [UInt64: CheckedContinuation<AWSCredentials, any Error>]
  }

  private struct State {
    var current: AWSCredentials?
    /// Of the last fetch, while none has worked since.
    var failure: (any Error)?
    var failures = 0
    var earliestFetch = Date.distantPast
    /// What a renewal was asked for last.
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
  ///   - current: what is known already.
  ///   - fetch: must end by itself, and soon when its task is cancelled.
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
    let known: Result<AWSCredentials, any Error>? = state.withLock { state in
      let remaining = state.secondsRemaining(at: time)
      let pauses = time < state.earliestFetch
      if let current = state.current, remaining > Self.leadSeconds || (remaining > 0 && pauses) {
        return .success(current)
      }
      return pauses ? state.failure.map { .failure($0) } : nil
    }
    if let known { return try known.get() }
    do {
      return try await fetched()
    } catch let error where !(error is CancellationError) {
      // What is still good is used to its end.
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
      // Whoever comes later joins the renewal that is under way.
      if state.fetch != nil { return nil }
      if state.refused == refused, time < state.earliestRenewal { return refused }
      state.refused = refused
      state.earliestRenewal = time.addingTimeInterval(renewalPauseSeconds)
      return nil
    }
    if let known { return known }
    return try await fetched()
  }

  /// Joins the fetch that is under way, or starts one.
  private func fetched() async throws -> AWSCredentials {
    let waiter = state.withLock { $0.nextID() }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let isWaiting = state.withLock { state in
          // A cancellation that comes later finds the waiter.
          if Task.isCancelled { return false }
          if state.fetch == nil {
            let id = state.nextID()
            let task = Task(executorPreference: TaskThreads.current) { [self] in
              end(id, with: await outcome())
            }
            state.fetch = Fetch(id: id, task: task, waiters: [:])
          }
          state.fetch?.waiters[waiter] = continuation
          return true
        }
        if !isWaiting { continuation.resume(throwing: CancellationError()) }
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
        // It gave no answer, so it does not count as asked.
        state.refused = nil
        return (continuation, fetch.task)
      }
    task?.cancel()
    continuation?.resume(throwing: CancellationError())
  }

  private func end(_ id: UInt64, with outcome: Result<AWSCredentials, any Error>) {
    let time = now()
    let waiters = state.withLock { state -> [CheckedContinuation<AWSCredentials, any Error>] in
      // Nothing waits for one that was given up.
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

  /// 2 to the number of failures, as far as it matters.
  private func pow2(_ failures: Int) -> TimeInterval { TimeInterval(1 << min(failures, 10)) }
}
