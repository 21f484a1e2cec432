import HTTPTransport

/// Makes every `S3Error`, and is the only place that decides whether a repetition of the request may succeed.
///
/// The lists are those of AWS's "Retry behavior" (SDKs and Tools Reference Guide, standard mode) and of S3's
/// "Error responses", with S3's codes for a body that was damaged in transit.
package enum S3ErrorTriage {
  /// Statuses that are retried whatever the code is. 501 is not among them, because a retry cannot help. 302,
  /// 303 and 511 (RFC 6585 §6) do not come from S3: a device in between requires a login first, and later
  /// lets the same request pass. S3 sends 307 while the name of a new bucket spreads (Amazon S3 User Guide,
  /// "Request redirection"); later the same address works.
  static let retryableStatuses: Set<Int> = [302, 303, 307, 408, 429, 500, 502, 503, 504, 511]

  static let throttlingCodes: Set<String> = [
    "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
    "RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded",
    "LimitExceededException", "ProvisionedThroughputExceededException", "EC2ThrottledException",
  ]

  static let retryableCodes: Set<String> = throttlingCodes.union([
    "RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "TransactionInProgressException",
    "InternalError", "InternalServerError", "ServiceUnavailable", "ConditionalRequestConflict",
    // The received bytes differ from the sent ones.
    "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
    // Codes of this module: an incomplete or unreadable answer, and an echo that differs.
    malformedAnswer, checksumMismatch, rangeIgnored,
  ])

  /// A successful status whose head or body does not belong to the operation.
  package static let malformedAnswer = "MalformedAnswer"
  /// The whole object, or another part of it, came in place of the requested range.
  package static let rangeIgnored = "RangeIgnored"
  /// The returned checksum differs from the sent one.
  package static let checksumMismatch = "ChecksumMismatch"
  /// Nothing was sent, because the source returned no credentials.
  package static let noCredentials = "NoCredentials"

  /// - Parameter status: 0 if no response came, or if a code has no status (the keys of DeleteObjects).
  package static func isRetryable(status: Int, code: String, operation: String) -> Bool {
    // S3 requires a new upload in this case ("CompleteMultipartUpload", Errors), so the same request would
    // fail again.
    if operation == CompleteMultipartUpload.name && code == "ConditionalRequestConflict" { return false }
    // A completion has no payload, so a checksum that differs will always differ.
    if operation == CompleteMultipartUpload.name && code == "BadDigest" { return false }
    return retryableStatuses.contains(status) || retryableCodes.contains(code)
  }

  /// Whether the server asks for fewer requests, so that the caller should lower its concurrency.
  package static func isThrottling(_ error: S3Error) -> Bool {
    throttlingCodes.contains(error.code) || error.status == 429
      || (error.status == 503 && error.code != "ServiceUnavailable")
  }

  /// Whether the server rejects the checksum headers themselves, and not these bytes: R2 answers 501
  /// NotImplemented, others 400 InvalidArgument or InvalidRequest. All of them name the header or the word
  /// "checksum", some only in `<ArgumentName>` or `<Header>`.
  package static func refusesChecksum(_ error: S3Error) -> Bool {
    guard [400, 501].contains(error.status), !retryableCodes.contains(error.code) else { return false }
    return "\(error.code) \(error.message) \(error.argument ?? "")".lowercased().contains("checksum")
  }

  /// Whether the operation is not available to this caller, or not on this server: a policy does not allow
  /// it, or the service does not support it.
  package static func isNotOffered(_ error: S3Error) -> Bool { [403, 405, 501].contains(error.status) }

  /// Whether the server rejects every request of this kind, so that another operation must be used: it does
  /// not support the operation (405, 501), or it rejects the request as such (400). A 400 that concerns
  /// credentials, clock or region does not show this, and neither does a retryable one.
  package static func refusesOperation(_ error: S3Error) -> Bool {
    switch error.status {
    case 405, 501: true
    case 400: !retryableCodes.contains(error.code) && !callersCodes.contains(error.code)
    default: false
    }
  }

  /// Codes of a 400 that concern the caller and not the request (S3, "Error responses").
  private static let callersCodes: Set<String> = [
    "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidSecurity",
    "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "RequestTimeTooSkewed",
    "InvalidBucketName", "InvalidAccessPoint",
  ]

  static func isRetryable(_ kind: TransportError.Kind) -> Bool {
    switch kind {
    case .connect, .staleConnection, .interrupted, .timeout, .truncated, .garbled: true
    case .tls, .invalid, .closed: false
    }
  }

  static func code(of kind: TransportError.Kind) -> String {
    switch kind {
    case .connect: "Connect"
    case .tls: "TLS"
    case .staleConnection: "StaleConnection"
    case .interrupted: "Interrupted"
    case .timeout: "Timeout"
    case .truncated: "Truncated"
    case .garbled: "GarbledAnswer"
    case .invalid: "InvalidRequest"
    case .closed: "Closed"
    }
  }
}

extension S3Error {
  /// Makes the error of a request without a response.
  init(_ cause: TransportError, operation: String, bucket: String, key: String?) {
    self.init(
      operation: operation, bucket: bucket, key: key, status: 0,
      code: cause.certificate?.rawValue ?? S3ErrorTriage.code(of: cause.kind),
      message: cause.message, isRetryable: S3ErrorTriage.isRetryable(cause.kind), network: cause.kind)
  }

  /// Makes the error of an error response, or of a 200 with an error body (CompleteMultipartUpload and the
  /// copies may send their status line before the outcome is known).
  package init(answer: S3Response, operation: String) {
    let http = answer.http
    let body = ErrorBody(http.body)
    let code = body.code ?? Self.code(ofStatus: http.status)
    self.init(
      operation: operation, bucket: answer.bucket, key: answer.key, status: http.status, code: code,
      message: body.message ?? "", requestID: http.headers["x-amz-request-id"] ?? body.requestID,
      retryAfterSeconds: http.headers["Retry-After"].flatMap(Double.init).flatMap { $0 >= 0 ? $0 : nil },
      region: http.headers["x-amz-bucket-region"] ?? body.region,
      isRetryable: S3ErrorTriage.isRetryable(status: http.status, code: code, operation: operation))
    argument = body.argument
  }

  /// Makes the error of a successful status whose head or body is no valid answer.
  static func malformed(_ answer: S3Response, operation: String, _ message: String) -> S3Error {
    S3Error(
      operation: operation, bucket: answer.bucket, key: answer.key, status: answer.http.status,
      code: S3ErrorTriage.malformedAnswer, message: message,
      requestID: answer.http.headers["x-amz-request-id"],
      isRetryable: S3ErrorTriage.isRetryable(
        status: answer.http.status, code: S3ErrorTriage.malformedAnswer, operation: operation))
  }

  /// Answers to HEAD have no body, and proxies answer in HTML. Then only the status is known.
  private static func code(ofStatus status: Int) -> String {
    switch status {
    case 301: "PermanentRedirect"
    case 304: "NotModified"
    case 307: "TemporaryRedirect"
    case 400: "BadRequest"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "NotFound"
    case 405: "MethodNotAllowed"
    case 409: "Conflict"
    case 412: "PreconditionFailed"
    case 416: "InvalidRange"
    case 429: "TooManyRequests"
    case 500: "InternalError"
    case 501: "NotImplemented"
    case 503: "ServiceUnavailable"
    default: "HTTP\(status)"
    }
  }
}

/// The content of S3's `<Error>` document, as far as there is one.
struct ErrorBody {
  var code: String?
  var message: String?
  var requestID: String?
  var region: String?
  /// The parameter or header that the server does not accept.
  var argument: String?

  init(_ bytes: [UInt8]) {
    // A body that is not S3's document (HTML of a proxy, plain text, nothing) has no code. The status is used
    // instead.
    guard case .success(let root) = XMLTree.parsing(bytes) else { return }
    guard let error = root.name == "Error" ? root : root["Error"] else { return }
    code = error.text(of: "Code").flatMap { $0.isEmpty ? nil : $0 }
    message = error.text(of: "Message")
    requestID = error.text(of: "RequestId")
    region = error.text(of: "Region").flatMap { $0.isEmpty ? nil : $0 }
    argument = error.text(of: "ArgumentName") ?? error.text(of: "Header")
  }
}
