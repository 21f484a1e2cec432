import HTTPTransport
@testable import S3Client
import Synchronization
import TestSupport
import Testing

/// Waits nothing and remembers how long it should have.
private final class ManualPause: Sendable {
  private let waited = Mutex<[Double]>([])
  var seconds: [Double] { waited.withLock { $0 } }

  func wait(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    waited.withLock { $0.append(Double(seconds) + Double(attoseconds) / 1e18) }
  }
}

private func unavailable(retryAfter: Double? = nil, code: String = "ServiceUnavailable") -> S3Error {
  S3Error(
    operation: "HeadBucket", bucket: "bucket", key: nil, status: 503, code: code, message: "",
    retryAfterSeconds: retryAfter, isRetryable: true)
}

private func broken(_ kind: TransportError.Kind) -> S3Error {
  S3Error(
    operation: "HeadBucket", bucket: "bucket", key: nil, status: 0, code: "x", message: "", isRetryable: true,
    network: kind)
}

@Suite struct RetryingStoreTests {
  private let pause = ManualPause()

  /// A store whose first `failures` attempts fail, in front of which stands the one under test.
  private func store(
    failing failures: Int, with error: S3Error = unavailable(), policy: RetryPolicy = RetryPolicy(),
    budget: RetryBudget = RetryBudget(), random: Double = 0.5
  ) async -> (fake: FakeObjectStore, store: RetryingStore) {
    let fake = FakeObjectStore()
    await fake.inject { call, moment in moment == .beforeEffect && call.ordinal <= failures ? error : nil }
    let store = RetryingStore(
      fake, policy: policy, budget: budget, pause: { [pause] in pause.wait($0) }, random: { random })
    return (fake, store)
  }

  @Test func `waits grow twofold, with jitter, up to the cap`() async throws {
    let (fake, store) = await store(failing: 7, policy: RetryPolicy(maxAttempts: 8))
    _ = try await store.send(HeadBucket())
    #expect(pause.seconds == [0.5, 1, 2, 4, 8, 10, 10])
    #expect(await fake.count(of: "HeadBucket") == 8)
  }

  @Test func `the last attempt's error is thrown, with the count`() async {
    let (fake, store) = await store(failing: 100)
    let error = await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(error?.attempts == 5)
    #expect(error?.description.contains("after 5 attempts") == true)
    #expect(await fake.count(of: "HeadBucket") == 5)
  }

  @Test func `an error that another try cannot mend is thrown at once`() async {
    let (fake, store) = await store(failing: 0)
    let error = await #expect(throws: S3Error.self) { try await store.send(HeadObject(key: "none")) }
    #expect(error?.isNotFound == true)
    #expect(error?.attempts == 1)
    #expect(await fake.count(of: "HeadObject") == 1)
    #expect(pause.seconds.isEmpty)
  }

  @Test(.promise("XFER-7"), arguments: [(7.0, 7.0), (0.1, 0.5), (100_000, 120)])
  func `Retry-After is waited for, within bounds`(named: Double, waited: Double) async throws {
    let (_, store) = await store(failing: 1, with: unavailable(retryAfter: named))
    _ = try await store.send(HeadBucket())
    #expect(pause.seconds == [waited])
  }

  @Test func `a connection that died idle is replaced at once and for free`() async throws {
    let budget = RetryBudget(tokens: 0)
    let (fake, store) = await store(
      failing: 3, with: broken(.staleConnection), policy: RetryPolicy(maxAttempts: 1), budget: budget)
    _ = try await store.send(HeadBucket())
    #expect(pause.seconds.isEmpty)
    #expect(await fake.count(of: "HeadBucket") == 4)
  }

  @Test func `a server that drops every connection is not asked for ever`() async {
    let (fake, store) = await store(
      failing: 1_000, with: broken(.staleConnection),
      policy: RetryPolicy(maxAttempts: 2, maxStaleConnections: 3))
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(await fake.count(of: "HeadBucket") == 5)
  }

  @Test func `retries cost, timeouts twice, and success gives the last one back`() async throws {
    let budget = RetryBudget(tokens: 100)
    _ = try await store(failing: 2, budget: budget).store.send(HeadBucket())
    #expect(budget.tokens == 95)
    _ = try await store(failing: 2, with: broken(.timeout), budget: budget).store.send(HeadBucket())
    #expect(budget.tokens == 85)
    _ = try await store(failing: 0, budget: budget).store.send(HeadBucket())
    #expect(budget.tokens == 86)
  }

  @Test func `an empty budget ends retries`() async {
    let (fake, store) = await store(failing: 100, budget: RetryBudget(tokens: 9))
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(await fake.count(of: "HeadBucket") == 2)
  }

  @Test(.promise("XFER-20"))
  func `refusals because of too many requests cost nothing, and are repeated longer`() async throws {
    let budget = RetryBudget(tokens: 0)
    let throttled = unavailable(code: "SlowDown")
    let (fake, patient) = await store(failing: 9, with: throttled, budget: budget)
    _ = try await patient.send(HeadBucket())
    #expect(await fake.count(of: "HeadBucket") == 10)
    #expect(budget.tokens == 0)
    let (refusing, store) = await store(failing: 10, with: throttled, budget: budget)
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(await refusing.count(of: "HeadBucket") == 10)
  }

  @Test func `one attempt is one attempt, whatever the refusal`() async {
    let (fake, store) = await store(
      failing: 1, with: unavailable(code: "SlowDown"), policy: RetryPolicy(maxAttempts: 1))
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(await fake.count(of: "HeadBucket") == 1)
  }

  @Test func `what a sink throws is not repeated`() async throws {
    struct DiskFull: Error {}
    struct FullSink: ResponseSink {
      func begin(_ head: HTTPResponse) throws { throw DiskFull() }
      func receive(_ bytes: UnsafeRawBufferPointer) {}
    }
    let (fake, store) = await store(failing: 0)
    await fake.place("k", [1])
    await #expect(throws: DiskFull.self) { try await store.send(GetObject(key: "k", sink: FullSink())) }
    #expect(await fake.count(of: "GetObject") == 1)
  }

  @Test func `attempts are counted for whoever asks, in child tasks too`() async throws {
    let (_, store) = await store(failing: 2)
    let attempts = AttemptCount()
    try await AttemptCount.$current.withValue(attempts) {
      async let first = store.send(HeadBucket())
      _ = try await (first, store.send(ListMultipartUploads()))
    }
    #expect(attempts.value == 6)
  }

  @Test func `a cancelled transfer is not repeated`() async {
    let (fake, store) = await store(failing: 0)
    // The gate cancels the very task that sends, and the transport then reports a broken transfer.
    await fake.hold { _ in
      withUnsafeCurrentTask { $0?.cancel() }
      throw broken(.interrupted)
    }
    let sending = Task { try await store.send(HeadBucket()) }
    await #expect(throws: S3Error.self) { try await sending.value }
    #expect(await fake.count(of: "HeadBucket") == 1)
  }
}

/// Pauses that end with the outage that they wait for.
@Suite struct ServiceRecoveryTests {
  private let recovery = ServiceRecovery()

  /// A request that fails once and then waits an hour to be sent again.
  private func paused(by error: S3Error) async throws -> (
    fake: FakeObjectStore, request: Task<Void, any Error>
  ) {
    let fake = FakeObjectStore()
    await fake.inject { call, moment in moment == .beforeEffect && call.ordinal == 1 ? error : nil }
    let store = RetryingStore(
      fake, policy: RetryPolicy(baseSeconds: 3600, capSeconds: 3600), recovery: recovery, random: { 1 })
    let request = Task { _ = try await store.send(HeadBucket()) }
    if error.network != nil {
      try await eventually("the request waits to be sent again") { recovery.waitingCount == 1 }
    }
    return (fake, request)
  }

  @Test(.promise("FAIL-2"))
  func `the first answer after an outage ends the pauses of the others`() async throws {
    let (fake, request) = try await paused(by: broken(.connect))
    #expect(recovery.waitingCount == 1)
    recovery.noteAnswer(at: .now + .seconds(3))
    try await request.value
    #expect(await fake.count(of: "HeadBucket") == 2)
    #expect(recovery.waitingCount == 0)
  }

  @Test(.promise("FAIL-2"))
  func `where others are answered all the time a pause lasts`() async throws {
    let (fake, request) = try await paused(by: broken(.interrupted))
    recovery.noteAnswer()
    #expect(recovery.waitingCount == 1)
    request.cancel()
    await #expect(throws: CancellationError.self) { try await request.value }
    #expect(await fake.count(of: "HeadBucket") == 1)
    #expect(recovery.waitingCount == 0)
  }

  @Test(.promise("FAIL-2"))
  func `a pause that the server asked for is kept`() async throws {
    let (fake, request) = try await paused(by: unavailable(retryAfter: 3600))
    recovery.noteFailure(at: .now - .seconds(10))
    recovery.noteAnswer()
    #expect(recovery.waitingCount == 0)
    request.cancel()
    await #expect(throws: CancellationError.self) { try await request.value }
    #expect(await fake.count(of: "HeadBucket") <= 1)
  }
}
