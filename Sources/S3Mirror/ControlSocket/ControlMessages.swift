/// A request to a control socket: one JSON object on one line.
package struct ControlRequest: Codable, Sendable, Hashable {
  package enum Kind: String, Codable, Sendable, Hashable {
    case status
    case flush
  }

  package var request: Kind
  /// The upload to flush; nil flushes all uploads.
  package var upload: String?
  /// With `flush`: how many seconds are left before this machine goes away; nil if it stays.
  package var deadline: Double?

  package init(_ request: Kind, upload: String? = nil, deadline: Double? = nil) {
    self.request = request
    self.upload = upload
    self.deadline = deadline
  }
}

/// The answer to a request: one JSON object on one line, with one of these members.
package struct ControlAnswer: Codable, Sendable, Hashable {
  package var status: MirrorState?
  /// The flushed uploads: everything closed before the request is published.
  package var flushed: [String]?
  package var error: Fault?

  package struct Fault: Codable, Sendable, Hashable {
    package enum Kind: String, Codable, Sendable, Hashable {
      /// The mirror does not know the request, or has no upload of that name.
      case request
      /// Some paths are not published.
      case incomplete
      /// The mirror is ending.
      case interrupted
    }

    package var kind: Kind
    package var message: String
    package var failures: [PathFailure]

    package init(kind: Kind, message: String, failures: [PathFailure]) {
      self.kind = kind
      self.message = message
      self.failures = failures
    }
  }

  package init(status: MirrorState? = nil, flushed: [String]? = nil, error: Fault? = nil) {
    self.status = status
    self.flushed = flushed
    self.error = error
  }

  package struct PathFailure: Codable, Sendable, Hashable {
    package var path: String
    package var reason: String
    /// S3's answer, if it was the cause; nil from a version without this field.
    package var fault: ServiceFault?

    package init(_ failure: MirrorError.Failure) {
      path = failure.path
      reason = failure.reason
      fault = failure.fault
    }
  }
}

/// The state of a running mirror at one moment.
package struct MirrorState: Codable, Sendable, Hashable {
  package enum Phase: String, Codable, Sendable, Hashable {
    /// Downloads run, or uploads are compared.
    case entering
    case running
    /// The remaining changes are being published.
    case ending
  }

  /// ``Options/name``.
  package var mirror: String
  package var pid: Int32
  package var phase: Phase
  package var uploads: [Upload]
  /// Nil from a version without this field.
  package var workers: Workers?

  /// How many requests with a payload may run at one time.
  package struct Workers: Codable, Sendable, Hashable {
    package var limit: Int
    package var most: Int
    /// Why the limit is as it is: `rising`, `enough` or `slowed-down`; `fixed` for a fixed number that stands.
    package var reason: String
  }

  package struct Upload: Codable, Sendable, Hashable {
    package var name: String
    package var remote: String
    package var local: String
    package var waitingFiles: Int
    package var waitingBytes: Int64
    package var inFlightFiles: Int
    package var inFlightBytes: Int64
    package var publishedFiles: Int
    package var publishedBytes: Int64
    /// How many of `publishedBytes` the server copied from the objects that changed files replaced; nil from a
    /// version without this field.
    package var copiedBytes: Int64?
    package var failedFiles: Int
    /// The first failures.
    package var failures: [ControlAnswer.PathFailure]
    /// How many files wait because a program has them open for writing; nil from a version without this
    /// field.
    package var openFiles: Int?
    /// The open files that have waited longest.
    package var longestOpen: [OpenFile]?
    /// How many temporary names exist whose files will be published after a rename; nil from a version
    /// without this field.
    package var temporaryNames: Int?
    /// The first temporary names.
    package var temporaries: [String]?
    package var withheldDeletes: Int
    /// In seconds. Nil if everything is published, and until the entry is over, because the value is unknown
    /// then.
    package var recoveryPoint: Double?
    package var drift: Int
    /// The first commit markers that wait for other hosts of the group; nil from a version without this field.
    package var heldMarkers: [ControlAnswer.PathFailure]?

    package struct OpenFile: Codable, Sendable, Hashable {
      package var path: String
      package var seconds: Double
    }
  }

  /// How many failed paths an answer names. An outage fails every path, so the answer must be bounded.
  static let namedFailures = 100
  /// How many open files an answer names.
  static let namedOpenFiles = 10
  /// How many temporary names an answer has.
  static let namedTemporaries = 10
}
