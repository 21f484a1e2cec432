import HTTPTransport

/// An error of S3, or of the connection to it.
package struct S3Error: Error, Sendable {
  /// AWS's operation name: `PutObject`.
  package var operation: String
  package var bucket: String
  package var key: String?
  /// HTTP status; 0 if no response came.
  package var status: Int
  /// S3's error code, such as `NoSuchKey` or `SlowDown`. For network errors a code of this module: `Connect`,
  /// `Interrupted` …
  package var code: String
  /// The message of S3 or libcurl.
  package var message: String
  package var requestID: String?
  /// The seconds in the server's `Retry-After`.
  package var retryAfterSeconds: Double?
  /// The bucket's region, if the answer named it (`x-amz-bucket-region`, `<Region>`).
  package var region: String?
  /// The parameter or header that the server does not accept (`<ArgumentName>`, `<Header>`).
  package var argument: String?
  /// Whether a repetition of the request may succeed. Only `S3ErrorTriage` decides it.
  package var isRetryable: Bool
  /// The network fault, if no response came.
  package var network: TransportError.Kind?
  /// How many requests were sent before the error was final. `RetryingStore` counts them.
  package var attempts = 1

  package init(
    operation: String, bucket: String, key: String?, status: Int, code: String, message: String,
    requestID: String? = nil, retryAfterSeconds: Double? = nil, region: String? = nil,
    isRetryable: Bool = false, network: TransportError.Kind? = nil
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
    self.network = network
  }

  package var isNotFound: Bool { status == 404 }

  /// Whether the key is missing, and not the bucket.
  package var isMissingKey: Bool {
    code == "NoSuchKey" || status == 404 && key != nil && code != "NoSuchBucket"
  }

  /// Whether the object does not match the condition. A line of DeleteObjects' answer has the code but no
  /// status.
  package var isPreconditionFailed: Bool { status == 412 || code == "PreconditionFailed" }
  package var isAccessDenied: Bool { status == 401 || status == 403 }
}

extension S3Error: CustomStringConvertible {
  package var description: String {
    let target = key.map { "s3://\(bucket)/\($0)" } ?? "s3://\(bucket)"
    var text = "\(operation) \(target): \(code)"
    if !message.isEmpty { text += ": \(message)" }
    if let argument, !argument.isEmpty { text += " [\(argument)]" }
    if status != 0 { text += " (HTTP \(status)" + (requestID.map { ", request \($0)" } ?? "") + ")" }
    if attempts > 1 { text += ", after \(attempts) attempts" }
    if let remedy { text += "; \(remedy)" }
    return text
  }

  /// What the user can do about the error, if that is known.
  package var remedy: String? {
    switch code {
    case "Forbidden", "Unauthorized":
      // The answer to a HEAD has no body, so either may be the reason.
      "check the access key and its secret; if they are right, \(permissionRemedy)"
    case "AccessDenied", "AllAccessDisabled": permissionRemedy
    case "InvalidAccessKeyId", "SignatureDoesNotMatch":
      "check the access key and its secret"
    case "ExpiredToken", "ExpiredTokenException", "InvalidToken":
      "renew the temporary credentials"
    case "RequestTimeTooSkewed": "set this machine's clock"
    case "NoSuchBucket": "create the bucket, or correct its name or the endpoint"
    case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
      "set the bucket's own region" + (region.map { " (\($0))" } ?? "")
    case "TLS": "check that the endpoint speaks TLS 1.2 or later at this port"
    case "Connect": "check the endpoint's address, and the proxy if there is one"
    case "EntityTooLarge": "send it as a multipart upload"
    default: CertificateFault(rawValue: code)?.remedy
    }
  }

  private var permissionRemedy: String {
    if let need = RequiredPermission(of: operation, bucket: bucket, key: key) {
      "allow these credentials \(need.action) on \(need.resource)"
    } else {
      "check that these credentials may do \(operation) on this bucket and key"
    }
  }
}
