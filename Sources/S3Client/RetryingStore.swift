import HTTPTransport
import LoopThread

/// A store that repeats requests that are worth a retry.
///
/// Every operation may be repeated: a PUT or a part writes the same bytes, and a delete of a deleted object
/// changes nothing. Two operations have side effects if the answer of a successful attempt is lost.
/// CreateMultipartUpload leaves an upload without parts, which is later found and aborted as stale.
/// CompleteMultipartUpload may then get NoSuchUpload (see there). A conditional write may find its own object
/// and get 412.
package final class RetryingStore: ObjectStore {
  private let store: any ObjectStore
  private let policy: RetryPolicy
  private let budget: RetryBudget
  private let recovery: ServiceRecovery
  private let patience: FinalPatience
  private let pause: @Sendable (Duration) async throws -> Void
  private let random: @Sendable () -> Double
  private let onRetry: @Sendable (Retry) -> Void

  /// Reported before each pause.
  package struct Retry: Sendable {
    package var error: S3Error
    /// How many attempts have failed so far.
    package var attempts: Int
    package var delaySeconds: Double
  }

  /// - Parameters:
  ///   - budget: one for all stores of a mirror.
  ///   - recovery: one for all stores of a service.
  ///   - patience: one for all stores of a run.
  ///   - pause: waits, and throws if the task is cancelled.
  ///   - random: in [0, 1).
  package init(
    _ store: any ObjectStore, policy: RetryPolicy = RetryPolicy(), budget: RetryBudget = RetryBudget(),
    recovery: ServiceRecovery = ServiceRecovery(), patience: FinalPatience = FinalPatience(),
    pause: @escaping @Sendable (Duration) async throws -> Void = { try await ServiceRecovery.pause(for: $0) },
    random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
    onRetry: @escaping @Sendable (Retry) -> Void = { _ in }
  ) {
    self.store = store
    self.policy = policy
    self.budget = budget
    self.recovery = recovery
    self.patience = patience
    self.pause = pause
    self.random = random
    self.onRetry = onRetry
  }

  package var bucket: String { store.bucket }
  package var executors: [any TaskExecutor] { store.executors }
  package var signsBodies: Bool { store.signsBodies }
  package var takesTrailers: Bool { store.takesTrailers }

  package func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    // A listing is always sent, because its answer shows whether the service is back.
    if Operation.self != ListObjectsV2.self, patience.isExhausted() { throw givingUp(operation) }
    var attempts = Attempts()
    while true {
      attempts.count += 1
      AttemptCount.current?.add()
      do {
        let output = try await SendAttempt.$current.withValue(attempts.count) {
          if attempts.connection == .pooled { return try await store.send(operation) }
          return try await SendAttempt.$connection.withValue(attempts.connection) {
            try await store.send(operation)
          }
        }
        noteAnswer(refunding: attempts.lastCost)
        return output
      } catch let error as S3Error {
        try await prepareRepeat(after: error, &attempts)
      }
    }
  }

  /// The attempts of one operation.
  private struct Attempts {
    var count = 0
    /// Attempts that ended because the server had closed the connection meanwhile.
    var stale = 0
    /// What the last repeat took from the budget.
    var lastCost: Int?
    var connection = HTTPRequest.Connection.pooled
  }

  /// Waits before the next attempt. In a function of its own, because nearly all requests succeed at once, and each
  /// request in flight would keep room for the variables of this.
  ///
  /// - Throws: the error, if the operation is not to be repeated.
  private func prepareRepeat(after error: S3Error, _ attempts: inout Attempts) async throws {
    var error = error
    error.attempts = attempts.count
    // An answer such as "no such object" also shows that the service works.
    if error.status != 0, !error.isRetryable { noteAnswer(refunding: attempts.lastCost) }
    attempts.connection = error.network == nil ? .pooled : .fresh
    // A cancelled transfer may look like a broken one. It must not be repeated.
    guard error.isRetryable, !Task.isCancelled else { throw error }
    let isThrottled = S3ErrorTriage.isThrottling(error)
    let isAskedFor = error.retryAfterSeconds != nil || isThrottled
    if !isAskedFor { recovery.noteFailure() }
    if error.network == .staleConnection, attempts.stale < policy.maxStaleConnections {
      attempts.stale += 1
      return
    }
    let retry = attempts.count - attempts.stale
    guard retry < (isThrottled ? policy.maxThrottledAttempts : policy.maxAttempts) else { throw error }
    let delay = policy.delaySeconds(retry: retry, random: random(), retryAfter: error.retryAfterSeconds)
    let end = ContinuousClock.now + .seconds(delay)
    guard patience.mayRepeat(at: end) else { throw error }
    let cost = isThrottled ? 0 : error.network == .timeout ? RetryBudget.timeoutCost : RetryBudget.retryCost
    guard budget.take(cost) else { throw error }
    attempts.lastCost = cost
    onRetry(Retry(error: error, attempts: attempts.count, delaySeconds: delay))
    let isEnding = patience.hasBegun
    try await FinalPatience.$current.withValue(patience) {
      try await ServiceRecovery.$current.withValue(isAskedFor ? nil : recovery) {
        try await pause(.seconds(delay))
      }
    }
    // The end of the run has shortened a pause that the server requested.
    if isAskedFor, !isEnding, patience.hasBegun {
      guard patience.mayRepeat(at: end) else { throw error }
      try await pause(max(.zero, end - .now))
    }
    // A wait for a slot may have followed the pause.
    guard patience.mayRepeat(at: .now) else { throw error }
  }

  private func noteAnswer(refunding cost: Int?) {
    budget.giveBack(cost ?? RetryBudget.unretriedRefund)
    recovery.noteAnswer()
    patience.noteAnswer()
  }

  private func givingUp<Operation: S3Operation>(_ operation: Operation) -> S3Error {
    S3Error(
      operation: Operation.name, bucket: bucket, key: nil, status: 0, code: "Timeout",
      message: "nothing was sent: the run ends, and the service has answered nothing for "
        + "\(FinalPatience.silence.components.seconds) s",
      isRetryable: true, network: .timeout)
  }
}
