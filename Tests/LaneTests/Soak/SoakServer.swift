import Foundation
import HTTPTransport
import S3Client
import SigV4
import TestSupport

/// The real server that the environment names, where there is one.
struct SoakServer {
  private let endpoint: S3Endpoint
  private let bucketName: String
  private let credentials: AWSCredentials

  static let fromEnvironment: SoakServer? = {
    let environment = ProcessInfo.processInfo.environment
    guard let endpoint = environment["S3MIRROR_TEST_ENDPOINT"].flatMap({ S3Endpoint(url: $0) }),
      let bucket = environment["S3MIRROR_TEST_BUCKET"], let accessKeyID = environment["AWS_ACCESS_KEY_ID"],
      let secret = environment["AWS_SECRET_ACCESS_KEY"]
    else { return nil }
    return SoakServer(
      endpoint: endpoint, bucketName: bucket,
      credentials: AWSCredentials(accessKeyID: accessKeyID, secretAccessKey: secret))
  }()

  /// Runs the body with the bucket and a prefix in it that nothing else uses, and clears that up.
  func run(_ body: (any ObjectStore, String) async throws -> Void) async throws {
    let client = try CurlClient()
    let bucket = S3Bucket(
      bucket: bucketName, endpoint: endpoint, region: "us-east-1",
      credentials: { [credentials] in credentials },
      client: client, clock: { FakeClock.system() / 1_000_000_000 })
    let store = RetryingStore(bucket)
    let prefix = "soak/\(UInt64.random(in: 0 ... .max))/"
    do {
      try await body(store, prefix)
      for try await page in store.listing(prefix: prefix) {
        for object in page.objects { _ = try await store.send(DeleteObject(key: object.key)) }
      }
    } catch {
      await client.close()
      throw error
    }
    await client.close()
  }
}
