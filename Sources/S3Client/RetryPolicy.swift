import Synchronization

/// How often and after which pauses a request is repeated: AWS's standard mode (SDKs and Tools Reference
/// Guide, "Retry behavior"), but with five attempts instead of three, because a training job should survive
/// longer outages.
package struct RetryPolicy: Sendable, Hashable {
  /// Including the first attempt.
  package var maxAttempts: Int
  /// The same, if the last refusal was because of too many requests: other clients may cause it, and the service
  /// works. One if `maxAttempts` is one.
  package var maxThrottledAttempts: Int { maxAttempts == 1 ? 1 : 2 * maxAttempts }
  /// The largest pause before the first retry. The limit doubles with each further retry.
  package var baseSeconds: Double
  package var capSeconds: Double
  /// The longest `Retry-After` of a server that is obeyed.
  package var retryAfterCapSeconds: Double
  /// How many retries may follow at once and without cost after connections that died while idle. A pool may
  /// hold many such connections; the limit ends the loop if a server drops every connection.
  package var maxStaleConnections: Int

  package init(
    maxAttempts: Int = 5, baseSeconds: Double = 1, capSeconds: Double = 20,
    retryAfterCapSeconds: Double = 120,
    maxStaleConnections: Int = 8
  ) {
    self.maxAttempts = maxAttempts
    self.baseSeconds = baseSeconds
    self.capSeconds = capSeconds
    self.retryAfterCapSeconds = retryAfterCapSeconds
    self.maxStaleConnections = maxStaleConnections
  }

  /// Full jitter: a random pause up to the limit, so that clients that failed together do not come back
  /// together.
  ///
  /// - Parameters:
  ///   - retry: 1 for the first retry.
  ///   - random: in [0, 1).
  package func delaySeconds(retry: Int, random: Double, retryAfter: Double?) -> Double {
    // 2^30 times any base already exceeds the cap.
    let bound = min(capSeconds, baseSeconds * Double(1 << min(retry - 1, 30)))
    return max(random * bound, min(retryAfter ?? 0, retryAfterCapSeconds))
  }
}

/// The common budget of all retries of a mirror, so that the transfers' attempts together do not overload a
/// service that is down. AWS's standard mode: 500 tokens; 5 for a retry, 10 after a timeout. A success
/// returns the tokens of its last retry, or 1 if it needed none.
///
/// A retry costs nothing if the service refused the request because of too many requests, unlike in AWS's
/// mode. A service refuses up to all requests in flight together, more than the budget has retries, and the
/// number of requests falls with such refusals (`ConcurrencyTuner`).
package final class RetryBudget: Sendable {
  package static let retryCost = 5
  package static let timeoutCost = 10
  static let unretriedRefund = 1

  private let capacity: Int
  private let remaining: Mutex<Int>

  package init(tokens: Int = 500) {
    capacity = tokens
    remaining = Mutex(tokens)
  }

  package var tokens: Int { remaining.withLock { $0 } }

  /// Takes tokens. False if there are too few.
  func take(_ cost: Int) -> Bool {
    remaining.withLock { tokens in
      if tokens < cost { return false }
      tokens -= cost
      return true
    }
  }

  func giveBack(_ cost: Int) {
    remaining.withLock { $0 = min(capacity, $0 + cost) }
  }
}

/// Counts the requests that are sent for one transfer, including those of child tasks, for its record in the
/// log:
///
///     let attempts = AttemptCount()
///     try await AttemptCount.$current.withValue(attempts) { try await store.send(…) }
package final class AttemptCount: Sendable {
  @TaskLocal package static var current: AttemptCount?

  private let count = Atomic<Int>(0)

  package init() {}

  package var value: Int { count.load(ordering: .relaxed) }

  func add() { count.add(1, ordering: .relaxed) }

  /// Runs `body` and returns how many requests it needed, at least 1.
  package static func counting<Result: Sendable>(_ body: () async throws -> Result) async throws -> (
    Result, attempts: Int
  ) {
    let count = AttemptCount()
    let result = try await $current.withValue(count) { try await body() }
    return (result, max(count.value, 1))
  }
}
