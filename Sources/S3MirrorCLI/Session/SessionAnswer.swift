import Glibc
import S3Mirror

/// The first line of a session.
struct SessionHello: Encodable {
  struct Greeting: Encodable {
    var `protocol` = SessionHello.protocolVersion
    var version = s3MirrorVersion
    var pid = getpid()
  }

  /// Rises when a program that knows the last one would be misled.
  static let protocolVersion = 1

  var hello = Greeting()
}

/// What a request is answered with: a result or an error, under its ID. A listing comes in parts before its result.
struct SessionAnswer: Encodable {
  /// Nil answers a line that has none.
  var id: Int64?
  var part: Part?
  var result: Result?
  var error: SessionError?

  struct Part: Encodable {
    var lines: [JSONText.Listed]
  }

  /// Has the members that the request's result has.
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

  /// The ID is there always, null where the line had none.
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
    /// The line is no request, or comes at the wrong time.
    case `protocol`
    /// Too many requests are under way.
    case busy
  }

  var kind: Kind
  var message: String
  /// The request that failed.
  var request: String?
  /// S3's answer, if one was the cause.
  var fault: ServiceFault?
  /// The first of the paths that failed.
  var failures: [ControlAnswer.PathFailure]?
  /// All of them.
  var failedFiles: Int?

  /// Failed paths that an answer names: far more than a person reads, and no more than some megabytes.
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

/// What the mirror did, upload by upload.
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
