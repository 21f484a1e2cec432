import MirrorModel
import S3Client
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

/// What a mirror makes of its options on the way to a bucket.
@Suite struct ConnectionsTests {
  private func bucket(
    slots: FairSemaphore = FairSemaphore(capacity: 8), _ change: (inout Options) -> Void = { _ in },
    _ body: (OpenBucket) async throws -> Void
  ) async throws {
    var options = Options()
    options.endpointURL = "http://127.0.0.1:9"
    options.region = "us-east-1"
    change(&options)
    let connections = Connections(
      options: options, environment: ["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"],
      homeDirectory: "/nonexistent", slots: slots)
    do {
      try await body(try connections.bucket(of: S3Location(bucket: "b", key: "")))
    } catch {
      await connections.close()
      throw error
    }
    await connections.close()
  }

  @Test func `a server that asks for less finds fewer requests at a time`() async throws {
    let slots = FairSemaphore(capacity: 8)
    try await bucket(slots: slots) { bucket in
      let server = FakeObjectStore()
      await server.inject { call, _ in
        guard call.ordinal == 1 else { return nil }
        return S3Error(
          operation: call.operation, bucket: "b", key: nil, status: 503, code: "SlowDown", message: "",
          isRetryable: true)
      }
      _ = try await bucket.retrying(server).send(HeadBucket())
      #expect(await server.calls.count == 2)
      #expect(slots.limit == 4)
    }
  }

  @Test(arguments: [
    (Options.PayloadSigning.automatic, false), (.always, true), (.never, false),
  ])
  func `signatures cover bodies as the options say`(signing: Options.PayloadSigning, isCovered: Bool)
    async throws
  {
    try await bucket({ $0.payloadSigning = signing }) { bucket in
      #expect(bucket.store.signsBodies == isCovered)
      #expect(bucket.counted().store.signsBodies == isCovered)
    }
  }

  @Test func `tasks of small files find the threads of their requests behind every decorator`() async throws {
    try await bucket { bucket in
      let count = bucket.service.executors.count
      #expect(count >= 1)
      #expect(MeteredStore(bucket.counted().store, meter: TransferMeter()).executors.count == count)
    }
  }
}
