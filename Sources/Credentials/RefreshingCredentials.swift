import FoundationEssentials
import LoopThread
import SigV4

/// Credentials that end, fetched anew before they do.
///
/// Callers that come while a fetch is under way wait for that one: a thousand requests ask the source once.
package actor RefreshingCredentials: CredentialsProvider {
  /// How long before the end a new fetch is due. 5 minutes: AWS promises new instance credentials at least that early
  /// (EC2 User Guide, "Retrieve security credentials from instance metadata").
  static let leadSeconds: TimeInterval = 5 * 60
  /// After a failure within the lead, the pause before the next try, so that a source in trouble is not hammered.
  static let pauseSeconds: TimeInterval = 60

  private let now: @Sendable () -> Date
  private let fetch: @Sendable () async throws -> AWSCredentials
  private var current: AWSCredentials?
  private var earliestRetry = Date.distantPast
  private var underWay: Task<AWSCredentials, any Error>?

  package init(
    now: @escaping @Sendable () -> Date, fetch: @escaping @Sendable () async throws -> AWSCredentials
  ) {
    self.now = now
    self.fetch = fetch
  }

  package func credentials() async throws -> AWSCredentials {
    let remaining = secondsRemaining
    if let current, remaining > Self.leadSeconds || (remaining > 0 && now() < earliestRetry) {
      return current
    }
    do {
      return try await fetched()
    } catch {
      // What is still good is used to its end.
      guard let current, secondsRemaining > 0 else { throw error }
      earliestRetry = now().addingTimeInterval(Self.pauseSeconds)
      return current
    }
  }

  /// Joins the fetch that is under way, or starts one. Whoever starts it awaits it, cancelled or not: the others need
  /// its result, and it is short.
  private func fetched() async throws -> AWSCredentials {
    if let underWay { return try await underWay.value }
    let task = Task(executorPreference: TaskThreads.current) { [fetch] in try await fetch() }
    underWay = task
    defer { underWay = nil }
    let credentials = try await task.value
    current = credentials
    return credentials
  }

  private var secondsRemaining: TimeInterval {
    guard let current else { return 0 }
    return current.expiration?.timeIntervalSince(now()) ?? .infinity
  }
}
