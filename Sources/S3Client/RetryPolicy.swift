import Synchronization

/// How often and how patiently a request is sent again: AWS's standard mode (SDKs and Tools Reference Guide, "Retry behavior"), with
/// five attempts instead of three, since a training job outlives its clients' patience.
package struct RetryPolicy: Sendable, Hashable {
  /// The first one included.
  package var maxAttempts: Int
  /// The first retry waits at most this long; each further one at most twice as long as the one before.
  package var baseSeconds: Double
  package var capSeconds: Double
  /// A server's `Retry-After` is waited for up to this long.
  package var retryAfterCapSeconds: Double
  /// Retries at once and free of charge for connections that died idle. A pool may hold many such; a server that drops every
  /// connection must not be asked for ever.
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

  /// Full jitter: anything between nothing and the bound, so that clients that failed together do not return together.
  ///
  /// - Parameters:
  ///   - retry: 1 for the first.
  ///   - random: in [0, 1).
  package func delaySeconds(retry: Int, random: Double, retryAfter: Double?) -> Double {
    // 2^30 times any base is past the cap already.
    let bound = min(capSeconds, baseSeconds * Double(1 << min(retry - 1, 30)))
    return max(random * bound, min(retryAfter ?? 0, retryAfterCapSeconds))
  }
}

/// What all retries of one mirror may cost together: a service that is down is not hammered by every transfer's own
/// attempts. AWS's standard mode: 500 tokens; 5 a retry, 10 after a timeout; a success gives back what its last retry took,
/// or 1 when it needed none.
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

  /// Whether there was enough.
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

/// Counts the requests that were sent on behalf of one transfer, in child tasks too, for its record in the log:
///
///     let attempts = AttemptCount()
///     try await AttemptCount.$current.withValue(attempts) { try await store.send(…) }
package final class AttemptCount: Sendable {
  @TaskLocal package static var current: AttemptCount?

  private let count = Atomic<Int>(0)

  package init() {}

  package var value: Int { count.load(ordering: .relaxed) }

  func add() { count.add(1, ordering: .relaxed) }

  /// Runs `body` and tells how many requests it took, at least 1.
  package static func counting<Result: Sendable>(_ body: () async throws -> Result) async throws -> (
    Result, attempts: Int
  ) {
    let count = AttemptCount()
    let result = try await $current.withValue(count) { try await body() }
    return (result, max(count.value, 1))
  }
}
