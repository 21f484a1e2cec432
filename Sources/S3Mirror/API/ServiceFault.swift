import S3Client

/// An error answer of S3, or an error on the way to S3, as fields for programs.
public struct ServiceFault: Sendable, Hashable, Codable {
  /// AWS's operation name, such as `PutObject`.
  public var operation: String
  public var bucket: String
  /// Nil for an operation on the bucket.
  public var key: String?
  /// S3's error code, such as `AccessDenied`. For network errors a code of this library, such as `Connect`.
  public var code: String
  /// The HTTP status; nil if no response came.
  public var status: Int?
  /// S3's request ID, which AWS Support asks for.
  public var requestID: String?
  /// What the user can do about the error, if that is known.
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
  /// Nil for an error that does not come from S3.
  init?(_ error: any Error) {
    guard let error = error as? S3Error else { return nil }
    self.init(
      operation: error.operation, bucket: error.bucket, key: error.key, code: error.code,
      status: error.status == 0 ? nil : error.status, requestID: error.requestID, remedy: error.remedy)
  }
}

/// Why a path failed: as text, and as S3's fields if S3 was the cause.
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
