import S3Client
import TestSupport
import Testing

/// Every store that must behave as S3 does, and how to come by it.
enum StoreUnderTest: String, Sendable, CaseIterable, CustomTestStringConvertible {
  case fake
  /// Lists as SeaweedFS does, two lines a page.
  case fakeInTreeOrder
  case fakeWithoutChecksums
  /// Loses the first answer to each operation after it took effect, behind a store that sends again.
  case fakeLosingAnswers
  /// The server that `S3MIRROR_TEST_ENDPOINT`, `S3MIRROR_TEST_BUCKET`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` name.
  case server

  /// The server only where there is one.
  static var available: [StoreUnderTest] {
    allCases.filter { $0 != .server || ServerUnderTest.fromEnvironment != nil }
  }

  var testDescription: String { rawValue }

  /// Runs the body with a store and a prefix in it that nothing else uses, and clears that up.
  func run(_ body: (any ObjectStore, String) async throws -> Void) async throws {
    let prefix = "conformance/\(UInt64.random(in: 0 ... .max))/"
    switch self {
    case .fake: try await body(FakeObjectStore(), prefix)
    case .fakeInTreeOrder:
      try await body(FakeObjectStore(behaviour: FakeBucket.Behaviour(order: .tree, pageLimit: 2)), prefix)
    case .fakeWithoutChecksums:
      try await body(FakeObjectStore(behaviour: FakeBucket.Behaviour(checksums: .unknown)), prefix)
    case .fakeLosingAnswers:
      let fake = FakeObjectStore()
      await fake.inject { call, moment in
        guard moment == .afterEffect && call.ordinal == 1 else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: call.key, status: 0, code: "Interrupted",
          message: "the answer is lost", isRetryable: true, network: .interrupted)
      }
      try await body(RetryingStore(fake, pause: { _ in }), prefix)
    case .server:
      guard let server = ServerUnderTest.fromEnvironment else { return }
      try await server.run(under: "conformance") { bucket, prefix async throws in
        try await body(RetryingStore(bucket, pause: { _ in }), prefix)
      }
    }
  }
}
