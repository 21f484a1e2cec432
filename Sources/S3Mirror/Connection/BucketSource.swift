import MirrorModel
import S3Client
import Transfers

/// One bucket as a profile accesses it.
struct OpenBucket: Sendable {
  /// Sends each operation once, without retries.
  let service: any ObjectStore
  let retrying: @Sendable (any ObjectStore) -> any ObjectStore
  /// Endpoint and bucket. Equal for the same bucket under different profiles.
  let identity: String
  /// Which checksums the server supports, as uploads have found out.
  let checksums = ChecksumSupport()
  /// Whether the server copies parts, as uploads have found out.
  let deltas = DeltaSupport()

  /// The store with retries.
  var store: any ObjectStore { retrying(service) }

  /// The store with retries, and a tally of every request that is sent, including retries.
  func counted() -> (store: any ObjectStore, tally: RequestTally) {
    let tally = RequestTally()
    return (counted(by: tally), tally)
  }

  /// The store with retries, whose requests a tally counts.
  ///
  /// - Parameter wrap: a further store below the retries, so that every repetition passes through it.
  func counted(
    by tally: RequestTally, through wrap: (any ObjectStore) -> any ObjectStore = { $0 }
  ) -> any ObjectStore {
    retrying(wrap(CountingStore(service, tally: tally)))
  }
}

/// The source of a scope's buckets: the network, or a test.
protocol BucketSource: Sendable {
  /// - Parameter access: nil takes the options' access.
  /// - Throws: `MirrorError.configuration` with the cause and the remedy.
  func bucket(of location: S3Location, access: BucketAccess?) throws -> OpenBucket

  /// Begins the end of the run. From now on, requests wait less long for a silent service.
  func beginEnd() async

  /// Returns once every thread that carries requests has answered. If a thread is stuck, the call does not
  /// return.
  func answer() async

  /// Closes everything that was opened.
  func close() async
}

extension BucketSource {
  func beginEnd() async {}

  func answer() async {}

  func bucket(of location: S3Location) throws -> OpenBucket {
    try bucket(of: location, access: nil)
  }
}
