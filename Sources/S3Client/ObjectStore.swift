// S3's operations as values, and what carries them out.
//
// Words of this room:
//   operation     one S3 request and the reading of its answer, a value (`PutObject`)
//   store         whatever carries operations out: a bucket on a server, a decorator, a fake
//   ETag          the server's tag of an object's content, here always without its quotes
//   part          one numbered piece of a multipart upload; upload ID: the name of that upload
//   marker, token where the next page of a listing begins
//   triage        the decision whether the same request is worth sending again
//   repair        what one more request can mend by itself: clock, region, expired credentials

/// One bucket on one endpoint. Every operation goes through one door, so that a decorator (retry, throttle,
/// dry run, and in tests failure) is one function.
package protocol ObjectStore: Sendable {
  /// The bucket's name.
  var bucket: String { get }

  /// What tasks that send many small requests best run on: see `HTTPClient`.
  var executors: [any TaskExecutor] { get }

  /// Whether signatures cover bodies of any size. Who sends a large one then gives its `payloadSHA256`, taken where it may
  /// take its time, as it knows where that is.
  var signsBodies: Bool { get }

  /// Carries out one operation.
  ///
  /// - Throws: `S3Error` for what the service or the network answered; what a request body or a response sink
  ///   threw, as it is; `CancellationError`.
  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output
}

extension ObjectStore {
  package var executors: [any TaskExecutor] { [] }
  package var signsBodies: Bool { false }
}

/// One S3 operation as a value: how it is written as a request and how its response is read.
package protocol S3Operation: Sendable {
  associatedtype Output: Sendable

  /// AWS's name of the operation, for logs and errors: `PutObject`.
  static var name: String { get }

  /// The key it concerns; nil for operations on the bucket.
  var key: String? { get }

  /// The request without host, credentials and signature.
  func request() throws -> S3Request

  /// Reads a successful (2xx) response.
  ///
  /// - Throws: `S3Error` when a 200 carries an error body or does not parse.
  func output(from response: S3Response) throws -> Output
}
