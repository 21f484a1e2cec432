/// What a control socket is asked: one JSON object, on one line.
package struct ControlRequest: Codable, Sendable, Hashable {
  package enum Kind: String, Codable, Sendable, Hashable {
    case status
    case flush
  }

  package var request: Kind
  /// Of a flush: the upload; nil is all of them.
  package var upload: String?

  package init(_ request: Kind, upload: String? = nil) {
    self.request = request
    self.upload = upload
  }
}

/// What it answers: one JSON object, on one line, with one of these members.
package struct ControlAnswer: Codable, Sendable, Hashable {
  package var status: MirrorState?
  /// The uploads of which everything closed before the request is published.
  package var flushed: [String]?
  package var error: Fault?

  package struct Fault: Codable, Sendable, Hashable {
    package enum Kind: String, Codable, Sendable, Hashable {
      /// The request is none that this mirror knows, or names no upload of it.
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
    /// S3's answer, if that was the cause; nil from a mirror that does not say so.
    package var fault: ServiceFault?

    package init(_ failure: MirrorError.Failure) {
      path = failure.path
      reason = failure.reason
      fault = failure.fault
    }
  }
}

/// A running mirror at one moment.
package struct MirrorState: Codable, Sendable, Hashable {
  package enum Phase: String, Codable, Sendable, Hashable {
    /// Downloads run, or uploads are compared.
    case entering
    case running
    /// What is left is being published.
    case ending
  }

  /// ``Options/name``.
  package var mirror: String
  package var pid: Int32
  package var phase: Phase
  package var uploads: [Upload]

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
    package var failedFiles: Int
    /// The first of them.
    package var failures: [ControlAnswer.PathFailure]
    /// How many files wait because a program has them open for writing; nil from a mirror that does not say so.
    package var openFiles: Int?
    /// Those of them that have waited longest.
    package var longestOpen: [OpenFile]?
    /// How many temporary names were found whose files are published when they are renamed; nil from a mirror that does not say so.
    package var temporaryNames: Int?
    /// The first of them.
    package var temporaries: [String]?
    package var withheldDeletes: Int
    /// Seconds; nil when everything is published, and while nobody knows: until the entry is over.
    package var recoveryPoint: Double?
    package var drift: Int

    package struct OpenFile: Codable, Sendable, Hashable {
      package var path: String
      package var seconds: Double
    }
  }

  /// How many failed paths are named: an outage fails everything, and the answer stays bounded.
  static let namedFailures = 100
  /// How many files that wait for their close are named.
  static let namedOpenFiles = 10
  /// How many temporary names are given.
  static let namedTemporaries = 10
}
