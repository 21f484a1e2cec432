import S3Client

/// What S3 answered instead of a result, or what broke on the way to S3: the fields of an error, for programs.
public struct ServiceFault: Sendable, Hashable, Codable {
  /// AWS's operation name, such as `PutObject`.
  public var operation: String
  public var bucket: String
  /// Nil for an operation on the bucket.
  public var key: String?
  /// S3's error code, such as `AccessDenied`; for errors of the network our own, such as `Connect`.
  public var code: String
  /// The HTTP status; nil when no response came.
  public var status: Int?
  /// S3's number of the request, which its support asks for.
  public var requestID: String?
  /// What the user can do about it, where that is known.
  public var remedy: String?

  public init(
    operation: String, bucket: String, key: String? = nil, code: String, status: Int? = nil,
    requestID: String? = nil, remedy: String? = nil
  ) {
    self.operation = operation
    self.bucket = bucket
    self.key = key
    self.code = code
    self.status = status
    self.requestID = requestID
    self.remedy = remedy
  }
}

extension ServiceFault {
  /// Nil for an error that is not S3's.
  init?(_ error: any Error) {
    guard let error = error as? S3Error else { return nil }
    self.init(
      operation: error.operation, bucket: error.bucket, key: error.key, code: error.code,
      status: error.status == 0 ? nil : error.status, requestID: error.requestID, remedy: error.remedy)
  }
}

/// Why a path failed: in words, and by S3's fields if S3 was the cause.
struct FailureReason: Sendable, Hashable, CustomStringConvertible, ExpressibleByStringInterpolation {
  var description: String
  var fault: ServiceFault?

  init(stringLiteral value: String) {
    description = value
  }

  init(_ error: any Error) {
    description = cause(of: error)
    fault = ServiceFault(error)
  }
}

extension MirrorError.Failure {
  init(path: String, _ reason: FailureReason) {
    self.init(path: path, reason: reason.description, fault: reason.fault)
  }
}
