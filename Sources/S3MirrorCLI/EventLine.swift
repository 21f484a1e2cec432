import S3Mirror

/// One line of `--json`: an event, with only the keys that it has. `EventOptions.schema` is the description
/// for users.
struct EventLine: Encodable, Sendable {
  struct Failure: Encodable, Sendable {
    var path: String
    var reason: String

    init(_ failure: MirrorError.Failure) {
      path = failure.path
      reason = failure.reason
    }
  }

  var event: String
  var mirror: String?
  var operation: String?
  var path: String?
  var reason: String?
  var kind: String?
  var number: Int?
  var published: Int?
  var files: Int?
  var bytes: Int64?
  var copied: Int?
  var unchanged: Int?
  var deleted: Int?
  var skipped: Int?
  var waiting: Int?
  var failed: [Failure]?
  var failedFiles: Int?
  var failures: [Failure]?
  var withheld: Int?
  var drift: Int?
  var requests: [String: Int]?
  var seconds: Double?
  var local: String?
  var text: String?

  /// How many failed paths the line of a pass names; the same number as in `status`.
  static let namedFailures = 100

  static func lines(of event: MirrorEvent) -> [EventLine] {
    switch event {
    case .transferred(let transfer):
      [
        EventLine(
          event: "transferred", mirror: transfer.mirror, operation: transfer.operation, path: transfer.path,
          bytes: transfer.bytes)
      ]
    case .failed(let mirror, let operation, let path, let reason):
      [EventLine(event: "failed", mirror: mirror, operation: operation, path: path, reason: reason)]
    case .pass(let summary):
      [EventLine(summary)]
    case .downloaded(let name, let files, let bytes, let unchanged):
      [EventLine(event: "downloaded", mirror: name, files: files, bytes: bytes, unchanged: unchanged)]
    case .notice(let text):
      [EventLine(event: "notice", text: text)]
    case .ended(let report):
      report.uploads.map(EventLine.init)
    }
  }
}

extension EventLine {
  init(_ summary: PassSummary) {
    self.init(event: "pass")
    mirror = summary.name
    kind = summary.kind.rawValue
    number = summary.number
    published = summary.published
    bytes = summary.publishedBytes
    copied = summary.copied
    deleted = summary.deleted
    withheld = summary.withheldDeletes
    skipped = summary.skipped
    waiting = summary.waiting
    // The line of a pass is limited, because there are many passes. The last line has all failures.
    failed = summary.failures.prefix(Self.namedFailures).map(Failure.init)
    failedFiles = summary.failures.count
    requests = summary.requests
    seconds = summary.seconds
  }

  init(_ upload: MirrorReport.Upload) {
    self.init(event: "ended")
    mirror = upload.name
    published = upload.published
    bytes = upload.publishedBytes
    deleted = upload.deleted
    skipped = upload.skipped
    withheld = upload.withheldDeletes
    drift = upload.drift
    failures = upload.failures.map(Failure.init)
  }
}
