import MirrorModel
import S3Client
import Transfers

/// One bucket as one profile sees it.
struct OpenBucket: Sendable {
  /// Sends each operation once.
  let service: any ObjectStore
  let retrying: @Sendable (any ObjectStore) -> any ObjectStore
  /// Endpoint and bucket: equal for one place, whatever the profile.
  let identity: String
  /// What uploads found out of the server.
  let checksums = ChecksumSupport()

  /// With retries.
  var store: any ObjectStore { retrying(service) }

  /// With retries, and counting every request that leaves, repeated ones too.
  func counted() -> (store: any ObjectStore, tally: RequestTally) {
    let counter = CountingStore(service)
    return (retrying(counter), counter.tally)
  }
}

/// Where a scope has its buckets from: the network, or a test.
protocol BucketSource: Sendable {
  /// - Parameter access: nil is the options'.
  /// - Throws: `MirrorError.configuration` that names the culprit and the cure.
  func bucket(of location: S3Location, access: BucketAccess?) throws -> OpenBucket

  /// Says that the run ends: from now on a service that is silent is not waited for as long as before.
  func beginEnd() async

  /// Returns when every thread that carries requests has come round: never, where one is stuck.
  func answer() async

  /// Ends what was opened.
  func close() async
}

extension BucketSource {
  func beginEnd() async {}

  func answer() async {}

  func bucket(of location: S3Location) throws -> OpenBucket {
    try bucket(of: location, access: nil)
  }
}
