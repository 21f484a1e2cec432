import HTTPTransport

/// Makes every `S3Error`, and is the one place that decides whether sending the same request again can help.
///
/// The lists are those of AWS's "Retry behavior" (SDKs and Tools Reference Guide, standard mode) and of S3's "Error
/// responses", with what S3 says of a body that was damaged on its way.
package enum S3ErrorTriage {
  /// Statuses that are retried whatever the code says. 501 is not among them: it will not be implemented by asking again.
  /// 302, 303 and 511 (RFC 6585 §6) are none of S3's: something on the way wants a login first, and lets the same request pass later.
  /// 307 is S3's while the name of a new bucket spreads (Amazon S3 User Guide, "Request redirection"): the same address serves later.
  static let retryableStatuses: Set<Int> = [302, 303, 307, 408, 429, 500, 502, 503, 504, 511]

  static let throttlingCodes: Set<String> = [
    "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
    "RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded",
    "LimitExceededException", "ProvisionedThroughputExceededException", "EC2ThrottledException",
  ]

  static let retryableCodes: Set<String> = throttlingCodes.union([
    "RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "TransactionInProgressException",
    "InternalError", "InternalServerError", "ServiceUnavailable", "ConditionalRequestConflict",
    // The bytes that arrived are not the bytes that were sent.
    "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
    // Ours: an answer that ended early or does not parse, and an echo that differs.
    malformedAnswer, checksumMismatch, rangeIgnored,
  ])

  /// A successful status whose head or body is not what the operation answers.
  package static let malformedAnswer = "MalformedAnswer"
  /// The whole object, or another part of it, where a range was asked for.
  package static let rangeIgnored = "RangeIgnored"
  /// A checksum that comes back different from the one that was sent.
  package static let checksumMismatch = "ChecksumMismatch"
  /// Nothing was sent: the source of credentials gave none.
  package static let noCredentials = "NoCredentials"

  /// - Parameter status: 0 where no response came, or where a code stands alone (the keys of DeleteObjects).
  package static func isRetryable(status: Int, code: String, operation: String) -> Bool {
    // S3 asks for a new upload then ("CompleteMultipartUpload", Errors): the same request can only fail again.
    if operation == CompleteMultipartUpload.name && code == "ConditionalRequestConflict" { return false }
    // No payload travels with a completion: a checksum that differs once differs always.
    if operation == CompleteMultipartUpload.name && code == "BadDigest" { return false }
    return retryableStatuses.contains(status) || retryableCodes.contains(code)
  }

  /// Whether the server asks for less, so that the caller should lower its concurrency.
  package static func isThrottling(_ error: S3Error) -> Bool {
    throttlingCodes.contains(error.code) || error.status == 429
      || (error.status == 503 && error.code != "ServiceUnavailable")
  }

  /// Whether the server does not take the checksum's header fields at all, rather than these bytes: R2 answers 501
  /// NotImplemented, others 400 InvalidArgument or InvalidRequest, and all of them name the field or the word, some only in
  /// `<ArgumentName>` or `<Header>`.
  package static func refusesChecksum(_ error: S3Error) -> Bool {
    guard [400, 501].contains(error.status), !retryableCodes.contains(error.code) else { return false }
    return "\(error.code) \(error.message) \(error.argument ?? "")".lowercased().contains("checksum")
  }

  /// Whether the operation is not for this caller, or not on this server: a policy that leaves it out, or a service that does
  /// not have it.
  package static func isNotOffered(_ error: S3Error) -> Bool { [403, 405, 501].contains(error.status) }

  /// Whether the server takes no request of this kind, whatever it holds, so that another operation must do: it does not
  /// have it (405, 501), or has it and refuses the request as such (400). A 400 that names credentials, clock or region says nothing of
  /// the kind, nor does one that is worth another try.
  package static func refusesOperation(_ error: S3Error) -> Bool {
    switch error.status {
    case 405, 501: true
    case 400: !retryableCodes.contains(error.code) && !callersCodes.contains(error.code)
    default: false
    }
  }

  /// Codes of a 400 that concern the caller rather than the request (S3, "Error responses").
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
  /// No response came.
  init(_ cause: TransportError, operation: String, bucket: String, key: String?) {
    self.init(
      operation: operation, bucket: bucket, key: key, status: 0,
      code: cause.certificate?.rawValue ?? S3ErrorTriage.code(of: cause.kind),
      message: cause.message, isRetryable: S3ErrorTriage.isRetryable(cause.kind), network: cause.kind)
  }

  /// A response that says no, or a 200 that carries an error body (CompleteMultipartUpload and the copies may send
  /// their status line before they know the outcome).
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

  /// A successful status with a head or a body that is not an answer.
  static func malformed(_ answer: S3Response, operation: String, _ message: String) -> S3Error {
    S3Error(
      operation: operation, bucket: answer.bucket, key: answer.key, status: answer.http.status,
      code: S3ErrorTriage.malformedAnswer, message: message,
      requestID: answer.http.headers["x-amz-request-id"],
      isRetryable: S3ErrorTriage.isRetryable(
        status: answer.http.status, code: S3ErrorTriage.malformedAnswer, operation: operation))
  }

  /// HEAD's answers have no body, and proxies answer in HTML: then the status is all there is.
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

/// S3's `<Error>` document, as far as there is one.
struct ErrorBody {
  var code: String?
  var message: String?
  var requestID: String?
  var region: String?
  /// The parameter or header field that the server does not take.
  var argument: String?

  init(_ bytes: [UInt8]) {
    // Whatever is not S3's document (HTML of a proxy, plain text, nothing) has no code; the status speaks then.
    guard case .success(let root) = XMLTree.parsing(bytes) else { return }
    guard let error = root.name == "Error" ? root : root["Error"] else { return }
    code = error.text(of: "Code").flatMap { $0.isEmpty ? nil : $0 }
    message = error.text(of: "Message")
    requestID = error.text(of: "RequestId")
    region = error.text(of: "Region").flatMap { $0.isEmpty ? nil : $0 }
    argument = error.text(of: "ArgumentName") ?? error.text(of: "Header")
  }
}
