import Glibc
import S3Mirror

/// The first line of a session.
struct SessionHello: Encodable {
  struct Greeting: Encodable {
    var `protocol` = SessionHello.protocolVersion
    var version = s3MirrorVersion
    var pid = getpid()
  }

  /// Incremented when a program for the previous version would misread the messages.
  static let protocolVersion = 1

  var hello = Greeting()
}

/// The answer to a request: a result or an error, under the request's ID. A listing is sent in parts before
/// its result.
struct SessionAnswer: Encodable {
  /// Nil for the answer to a line without an ID.
  var id: Int64?
  var part: Part?
  var result: Result?
  var error: SessionError?

  struct Part: Encodable {
    var lines: [JSONText.Listed]
  }

  /// The members depend on the request.
  struct Result: Encodable {
    var paths: [String: String]?
    var path: String?
    var flushed: [String]?
    var status: MirrorState?
    var report: SessionReport?
    var restored: RestoredLine?
  }
}

extension SessionAnswer {
  private enum Keys: String, CodingKey {
    case id, part, result, error
  }

  /// The ID is always present; it is null for a line without an ID.
  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Keys.self)
    try values.encode(id, forKey: .id)
    try values.encodeIfPresent(part, forKey: .part)
    try values.encodeIfPresent(result, forKey: .result)
    try values.encodeIfPresent(error, forKey: .error)
  }
}

/// An error as fields.
struct SessionError: Encodable {
  enum Kind: String, Encodable {
    case invalid, configuration, local, incomplete, interrupted
    /// The line is no valid request, or comes at the wrong time.
    case `protocol`
    /// Too many requests are running.
    case busy
  }

  var kind: Kind
  var message: String
  /// The request that failed.
  var request: String?
  /// S3's answer, if a single answer was the cause.
  var fault: ServiceFault?
  /// The first failed paths.
  var failures: [ControlAnswer.PathFailure]?
  /// The number of all failed paths.
  var failedFiles: Int?

  /// How many failed paths an answer names: more than a user reads, and only some megabytes.
  static let namedFailures = 10_000

  init(_ kind: Kind, _ message: String, request: String?) {
    self.kind = kind
    self.message = message
    self.request = request
  }

  init(_ error: any Error, request: SessionRequest.Kind) {
    let error =
      error as? MirrorError
      ?? MirrorError(
        error is CancellationError ? .interrupted : .incomplete,
        error is CancellationError ? "it was cut short by the end of the session" : "\(error)")
    kind =
      switch error.kind {
      case .invalid: .invalid
      case .configuration: .configuration
      case .local: .local
      case .incomplete: .incomplete
      case .interrupted: .interrupted
      }
    message = error.message
    self.request = request.rawValue
    fault = error.fault
    if !error.failures.isEmpty {
      failures = error.failures.prefix(Self.namedFailures).map(ControlAnswer.PathFailure.init)
      failedFiles = error.failures.count
    }
  }
}

/// What the mirror did, for each upload.
struct SessionReport: Encodable {
  struct Upload: Encodable {
    var name: String
    var published: Int
    var publishedBytes: Int64
    var deleted: Int
    var withheldDeletes: Int
    var withheld: [ControlAnswer.PathFailure]
    var failures: [ControlAnswer.PathFailure]
    var failedFiles: Int
    var skipped: Int
    var drift: Int
    var ticks: Int
    var requests: [String: Int]
  }

  var isComplete: Bool
  var uploads: [Upload]

  init(_ report: MirrorReport) {
    isComplete = report.isComplete
    uploads = report.uploads.map { upload in
      Upload(
        name: upload.name, published: upload.published, publishedBytes: upload.publishedBytes,
        deleted: upload.deleted, withheldDeletes: upload.withheldDeletes,
        withheld: upload.withheld.map(ControlAnswer.PathFailure.init),
        failures: upload.failures.prefix(SessionError.namedFailures).map(ControlAnswer.PathFailure.init),
        failedFiles: upload.failures.count, skipped: upload.skipped, drift: upload.drift, ticks: upload.ticks,
        requests: upload.requests)
    }
  }
}
