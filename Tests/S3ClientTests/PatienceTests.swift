import HTTPTransport
@testable import S3Client
import TestSupport
import Testing

/// How long a silent server is waited for.
@Suite struct PatienceTests {
  private static let source = CopySource(bucket: "b", key: "s")

  private func seconds(_ byteCount: Int64?) -> [Int?] {
    let range = byteCount.map { 0...max(0, $0 - 1) }
    return [
      CopyObject(key: "k", source: Self.source, byteCount: byteCount).request().silenceSeconds,
      CompleteMultipartUpload(key: "k", uploadID: "u", parts: [], byteCount: byteCount).request()
        .silenceSeconds,
      UploadPartCopy(key: "k", uploadID: "u", number: 1, source: Self.source, range: range).request()
        .silenceSeconds,
    ]
  }

  @Test(
    .promise("XFER-7"),
    arguments: [
      (Int64(0), 60), (1 << 20, 60), (160 << 20, 70), (5 << 30, 380), (9 << 30, 600), (5 << 40, 600),
      (.max, 600),
    ])
  func `a copy or a completion is waited for a minute, and a second for each 16 MiB, up to ten minutes`(
    byteCount: Int64, expected: Int
  ) {
    for seconds in seconds(byteCount) { #expect(abs((seconds ?? 0) - expected) <= 1) }
  }

  @Test func `what is copied without a known size is waited for ten minutes`() {
    #expect(seconds(nil) == [600, 600, 600])
  }

  @Test func `other requests keep to the client's patience`() {
    #expect(PutObject(key: "k", body: BytesBody([])).request().silenceSeconds == nil)
    #expect(CreateMultipartUpload(key: "k").request().silenceSeconds == nil)
  }

  /// An answer that is lost costs six seconds, and a server that is slow has a minute in the end.
  @Test(.promise("FAIL-1"))
  func `each further attempt is more patient`() {
    let patience = (1...5).map { attempt in
      SendAttempt.$current.withValue(attempt) {
        [
          S3Request.generalPatience,
          CompleteMultipartUpload(key: "k", uploadID: "u", parts: [], byteCount: 160 << 20).request()
            .silenceSeconds,
        ]
      }
    }
    #expect(patience == [[6, 16], [12, 22], [24, 34], [48, 58], [60, 70]])
  }
}

/// How long a run that ends waits for a service.
@Suite struct FinalPatienceTests {
  private let start = ContinuousClock.now
  private let patience = FinalPatience()

  private func answers(at seconds: [Int], _ ask: (ContinuousClock.Instant) -> Bool) -> [Bool] {
    seconds.map { ask(start + .seconds($0)) }
  }

  @Test func `before the end it has no limit`() {
    #expect(answers(at: [0, 10_000], patience.mayRepeat) == [true, true])
    #expect(answers(at: [0, 10_000], patience.isExhausted) == [false, false])
  }

  @Test(.promise("END-9"))
  func `at the end a request is sent again for fifteen seconds after the latest answer`() {
    patience.begin(at: start)
    #expect(answers(at: [0, 14, 15], patience.mayRepeat) == [true, true, false])
    patience.noteAnswer(at: start + .seconds(100))
    #expect(answers(at: [101, 114, 115], patience.mayRepeat) == [true, true, false])
  }

  @Test(.promise("END-9"))
  func `a run gives up when nothing was answered and nothing moved for 30 seconds`() {
    patience.noteAnswer(at: start - .seconds(1000))
    patience.begin(at: start)
    #expect(answers(at: [29, 30], patience.isExhausted) == [false, true])
    patience.noteMovement(at: start + .seconds(25))
    #expect(answers(at: [54, 55], patience.isExhausted) == [false, true])
    patience.noteAnswer(at: start + .seconds(80))
    #expect(answers(at: [109, 110], patience.isExhausted) == [false, true])
  }

  private func store(_ error: S3Error, patience: FinalPatience) async -> (FakeObjectStore, RetryingStore) {
    let fake = FakeObjectStore()
    await fake.inject { _, moment in moment == .beforeEffect ? error : nil }
    return (fake, RetryingStore(fake, patience: patience))
  }

  private func silence(retryAfter: Double? = nil) -> S3Error {
    S3Error(
      operation: "", bucket: "bucket", key: nil, status: retryAfter == nil ? 0 : 503, code: "x", message: "",
      retryAfterSeconds: retryAfter, isRetryable: true, network: retryAfter == nil ? .timeout : nil)
  }

  @Test func `a request that is not answered long after the end began is sent once`() async {
    patience.begin(at: start - .seconds(20))
    let (fake, store) = await store(silence(), patience: patience)
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(await fake.count(of: "HeadBucket") == 1)
  }

  @Test(.promise("END-9"))
  func `when the service is silent only listings are sent`() async throws {
    patience.begin(at: start - .seconds(60))
    let fake = FakeObjectStore()
    let store = RetryingStore(fake, patience: patience)
    let error = await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(error?.isRetryable == true)
    #expect(await fake.count(of: "HeadBucket") == 0)
    _ = try await store.send(ListObjectsV2())
    // It was answered.
    _ = try await store.send(HeadBucket())
  }

  @Test func `a wait that the server asked for is not begun when it would outlast the end's patience`() async
  {
    patience.begin(at: start)
    let (fake, store) = await store(silence(retryAfter: 30), patience: patience)
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(await fake.count(of: "HeadBucket") == 1)
  }

  @Test(.promise("END-9"))
  func `the end cuts short what waits to be sent again`() async throws {
    let (fake, store) = await store(silence(retryAfter: 100), patience: patience)
    let request = Task { try await store.send(HeadBucket()) }
    try await eventually("it was sent") { await fake.count(of: "HeadBucket") == 1 }
    patience.begin()
    await #expect(throws: S3Error.self) { try await request.value }
    #expect(await fake.count(of: "HeadBucket") == 1)
  }
}
