// S3's operations as values, and the protocol of stores that carry them out.
//
// Words of this module:
//   operation     one S3 request with the parsing of its answer, as a value (`PutObject`)
//   store         carries operations out: a bucket on a server, a decorator, a fake
//   ETag          the server's tag of an object's content, here always without quotes
//   part          one numbered piece of a multipart upload; upload ID: the identifier of that upload
//   marker, token where the next page of a listing begins
//   triage        the decision whether the same request is worth a retry
//   repair        a fault that one more request corrects: clock, region, expired credentials
//   stale         said of a pooled connection that was closed while it was idle
//   patience      how long a request waits for the server's answer

/// One bucket on one endpoint. Every operation goes through `send`, so that a decorator (retry, throttle, dry
/// run, in tests failure) is one function.
package protocol ObjectStore: Sendable {
  /// The bucket's name.
  var bucket: String { get }

  /// The preferred executors for tasks that send many small requests: see `HTTPClient`.
  var executors: [any TaskExecutor] { get }

  /// Whether signatures cover bodies of any size. If so, the sender of a large body supplies its
  /// `payloadSHA256`, computed on a thread where this may take time.
  var signsBodies: Bool { get }

  /// Whether a part may be sent as a `TrailedBody`: only TLS protects it.
  var takesTrailers: Bool { get }

  /// Carries out one operation.
  ///
  /// - Throws: `S3Error` for errors of the service or the network; errors of a request body or a response
  ///   sink unchanged; `CancellationError`.
  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output
}

extension ObjectStore {
  package var executors: [any TaskExecutor] { [] }
  package var signsBodies: Bool { false }
  package var takesTrailers: Bool { false }
}

/// One S3 operation as a value: writes its request and reads its response.
package protocol S3Operation: Sendable {
  associatedtype Output: Sendable

  /// AWS's name of the operation, such as `PutObject`, for logs and errors.
  static var name: String { get }

  /// The key of the operation; nil for operations on the bucket.
  var key: String? { get }

  /// The request without host, credentials and signature.
  func request() throws -> S3Request

  /// Reads a successful (2xx) response.
  ///
  /// - Throws: `S3Error` if a 200 has an error body or cannot be parsed.
  func output(from response: S3Response) throws -> Output
}
