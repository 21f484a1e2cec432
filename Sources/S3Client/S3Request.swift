import HTTPTransport

/// A request as an operation writes it: key and query unencoded, without host and signature.
package struct S3Request: Sendable {
  package var method: HTTPMethod
  /// Nil addresses the bucket.
  package var key: String?
  /// Names and values before encoding. A nil value means a name alone (`?uploads`).
  package var query: [(name: String, value: String?)]
  package var headers: HTTPHeaders
  package var body: (any RequestBody)?
  package var sink: (any ResponseSink)?
  /// The SHA-256 of the body in lower-case hex, if it is known. Nil leaves the choice to the store's signing
  /// mode.
  package var payloadSHA256: String?
  /// How long the server may be silent, in seconds, if longer than the client's default.
  package var silenceSeconds: Int?

  /// How long the server may be silent while it makes an object of this size, in seconds: the general limit
  /// plus a second for each 16 MiB, at most ten minutes.
  ///
  /// The general limit is six seconds for the first attempt, and doubles with each further attempt up to a
  /// minute. An answer that has not begun by then is usually lost, and "a retried request is likely to take a
  /// different path" (Amazon S3 User Guide, "Timeouts and retries for latency-sensitive applications"). A
  /// slow server gets its minute in the end. The time counts from the moment at which the last byte of the
  /// request has arrived at the other end, however long a slow link takes (`SilenceClock`).
  ///
  /// AWS: "Processing of a CompleteMultipartUpload request could take several minutes"; copies may take as
  /// long. Servers that copy the bytes depend on their disks: SeaweedFS 4.48 on a busy machine of two cores
  /// copied 64 MiB in 1.3 s and 512 MiB in 6.1 s, which is 50 and 83 MiB/s; 16 MiB/s is a third of that. A
  /// lost answer to a small request costs a minute, not ten.
  static func patience(forBytes byteCount: Int64?) -> Int {
    guard let byteCount else { return longestPatience }
    return min(longestPatience, generalPatience + Int(clamping: max(0, byteCount) / (16 << 20)))
  }

  /// The limit for a request that creates no object.
  static var generalPatience: Int {
    guard let attempt = SendAttempt.current else { return mostGeneralPatience }
    return min(mostGeneralPatience, firstPatience << min(max(attempt, 1) - 1, 8))
  }

  /// How long the server may be silent, in seconds.
  var patience: Int {
    silenceSeconds ?? Self.generalPatience
  }

  private static let firstPatience = 6
  private static let mostGeneralPatience = 60

  static let longestPatience = 600

  package init(
    method: HTTPMethod, key: String? = nil, query: [(name: String, value: String?)] = [],
    headers: HTTPHeaders = [:], body: (any RequestBody)? = nil, sink: (any ResponseSink)? = nil,
    payloadSHA256: String? = nil, silenceSeconds: Int? = nil
  ) {
    self.method = method
    self.key = key
    self.query = query
    self.headers = headers
    self.body = body
    self.sink = sink
    self.payloadSHA256 = payloadSHA256
    self.silenceSeconds = silenceSeconds
  }
}

/// A successful response, with the requested key.
package struct S3Response: Sendable {
  package var bucket: String
  package var key: String?
  package var http: HTTPResponse

  package init(bucket: String, key: String?, http: HTTPResponse) {
    self.bucket = bucket
    self.key = key
    self.http = http
  }
}
