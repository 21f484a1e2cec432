import S3Client

/// What a failure says of other paths.
enum FailureScope: Sendable, Hashable {
  /// Nothing: the file cannot be read, or the service refused this one.
  case path
  /// Any other request would have failed too: the service did not answer, or not as a service does.
  case service

  init(_ error: any Error) {
    self = (error as? S3Error)?.isRetryable == true ? .service : .path
  }
}
