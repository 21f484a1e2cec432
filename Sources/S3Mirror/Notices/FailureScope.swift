import S3Client

/// Whether a failure concerns other paths too.
enum FailureScope: Sendable, Hashable {
  /// No: the file cannot be read, or the service refused this path.
  case path
  /// Yes: the service gave no proper answer, so any other request would have failed too.
  case service

  init(_ error: any Error) {
    self = (error as? S3Error)?.isRetryable == true ? .service : .path
  }
}
