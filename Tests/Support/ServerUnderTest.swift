import Foundation
import HTTPTransport
import S3Client
import SigV4

/// The server that the environment names, if it names one.
package struct ServerUnderTest: Sendable {
  package var endpoint: S3Endpoint
  package var bucketName: String
  package var credentials: AWSCredentials

  package static let fromEnvironment: ServerUnderTest? = {
    let environment = ProcessInfo.processInfo.environment
    guard let endpoint = environment["S3MIRROR_TEST_ENDPOINT"].flatMap({ S3Endpoint(url: $0) }),
      let bucket = environment["S3MIRROR_TEST_BUCKET"], let accessKeyID = environment["AWS_ACCESS_KEY_ID"],
      let secret = environment["AWS_SECRET_ACCESS_KEY"]
    else { return nil }
    let credentials = AWSCredentials(accessKeyID: accessKeyID, secretAccessKey: secret)
    return ServerUnderTest(endpoint: endpoint, bucketName: bucket, credentials: credentials)
  }()

  package func bucket(
    over client: CurlClient, payloadSigning: S3Bucket.PayloadSigning = .automatic,
    clockError: Int64 = 0
  ) -> S3Bucket {
    S3Bucket(
      bucket: bucketName, endpoint: endpoint, region: "us-east-1",
      credentials: { [credentials] in credentials },
      payloadSigning: payloadSigning, client: client,
      clock: { FakeClock.system() / 1_000_000_000 + clockError })
  }

  /// Runs the body with the bucket and a prefix below the folder that nothing else uses, and clears that up.
  package func run(under folder: String, _ body: (S3Bucket, String) async throws -> Void) async throws {
    let client = try CurlClient()
    let prefix = "\(folder)/\(UInt64.random(in: 0 ... .max))/"
    do {
      let bucket = bucket(over: client)
      try await body(bucket, prefix)
      let store = RetryingStore(bucket)
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
