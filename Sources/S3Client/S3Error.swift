/// What S3 or the way to it answered instead of a result.
package struct S3Error: Error, Sendable {
  /// AWS's operation name: `PutObject`.
  package var operation: String
  package var bucket: String
  package var key: String?
  /// HTTP status; 0 when no response came.
  package var status: Int
  /// S3's error code, such as `NoSuchKey` or `SlowDown`; for errors of the network our own: `Connect`, `Interrupted` …
  package var code: String
  /// S3's own words, or libcurl's.
  package var message: String
  package var requestID: String?
  /// Seconds to wait that the server named in `Retry-After`.
  package var retryAfterSeconds: Double?
  /// The bucket's region, when the answer named it (`x-amz-bucket-region`, `<Region>`).
  package var region: String?
  /// Whether sending the same request again can help; decided in `S3ErrorTriage` only.
  package var isRetryable: Bool

  package init(
    operation: String, bucket: String, key: String?, status: Int, code: String, message: String,
    requestID: String? = nil, retryAfterSeconds: Double? = nil, region: String? = nil,
    isRetryable: Bool = false
  ) {
    self.operation = operation
    self.bucket = bucket
    self.key = key
    self.status = status
    self.code = code
    self.message = message
    self.requestID = requestID
    self.retryAfterSeconds = retryAfterSeconds
    self.region = region
    self.isRetryable = isRetryable
  }

  package var isNotFound: Bool { status == 404 }
  package var isAccessDenied: Bool { status == 401 || status == 403 }
}

extension S3Error: CustomStringConvertible {
  package var description: String {
    let target = key.map { "s3://\(bucket)/\($0)" } ?? "s3://\(bucket)"
    var text = "\(operation) \(target): \(code)"
    if !message.isEmpty { text += ": \(message)" }
    if status != 0 { text += " (HTTP \(status)" + (requestID.map { ", request \($0)" } ?? "") + ")" }
    return text
  }
}
