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

  @Test func `a server that asks for fewer requests gets fewer at a time`() async throws {
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

  @Test(
    .promise("XFER-8"),
    arguments: [
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

  /// Finds a bucket in an environment.
  private func open(_ name: String, _ variables: [String: String]) async throws -> OpenBucket {
    let keys = ["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"]
    let connections = Connections(
      options: Options(), environment: keys.merging(variables) { $1 }, homeDirectory: "/nonexistent",
      slots: FairSemaphore(capacity: 8))
    let result = Result { try connections.bucket(of: S3Location(bucket: name, key: "")) }
    await connections.close()
    return try result.get()
  }

  @Test(.promise("CRED-6"), arguments: ["logs--usw2-az1--x-s3", "point--usw2-az1--xa-s3"])
  func `a directory bucket of AWS is refused before anything is sent`(name: String) async throws {
    let error = try #require(await #expect(throws: MirrorError.self) { try await open(name, [:]) })
    #expect(error.kind == .configuration)
    for part in [name, "directory bucket", "not supported", "general purpose"] {
      #expect(error.message.contains(part), "\(error)")
    }
    #expect(try await open(name, ["AWS_ENDPOINT_URL": "http://127.0.0.1:9"]).service.bucket == name)
  }

  @Test func `the path of an endpoint is part of the place`() async throws {
    let one = try await open("b", ["AWS_ENDPOINT_URL": "http://127.0.0.1:9/one/"])
    let two = try await open("b", ["AWS_ENDPOINT_URL": "http://127.0.0.1:9/two"])
    #expect(one.identity == "http://127.0.0.1:9/one/b")
    #expect(two.identity == "http://127.0.0.1:9/two/b")
  }

  @Test func `a region that cannot be part of a host name is a configuration error`() async throws {
    let error = try #require(
      await #expect(throws: MirrorError.self) { try await open("b", ["AWS_REGION": "evil.com/#"]) })
    #expect(error.kind == .configuration)
    #expect(error.message.contains("AWS_REGION"))
  }
}
