import S3Client

/// What a scope, or a call on its session, throws.
public struct MirrorError: Error, Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    /// A spec, a name or an option is wrong. Found before anything was transferred.
    case invalid
    /// Credentials, profile, endpoint, bucket or access. Found before anything was transferred.
    case configuration
    /// A local path that must exist does not, or cannot be used.
    case local
    /// Some files did not arrive: ``failures`` lists them.
    case incomplete
    /// The scope ended, or was told to stop, before the work was done.
    case interrupted
  }

  /// One path that could not be transferred, and why.
  public struct Failure: Sendable, Hashable, CustomStringConvertible {
    /// Relative to the upload's or download's root.
    public var path: String
    public var reason: String
    /// S3's answer, if that was the cause.
    public var fault: ServiceFault?

    public init(path: String, reason: String, fault: ServiceFault? = nil) {
      self.path = path
      self.reason = reason
      self.fault = fault
    }

    public var description: String { "\(path): \(reason)" }
  }

  public var kind: Kind
  /// One sentence that names the culprit and the cure.
  public var message: String
  public var failures: [Failure]
  /// S3's answer, if one answer was the cause.
  public var fault: ServiceFault?

  public init(_ kind: Kind, _ message: String, failures: [Failure] = [], fault: ServiceFault? = nil) {
    self.kind = kind
    self.message = message
    self.failures = failures
    self.fault = fault
  }
}

/// An error in words. A cancellation is one only in code: to people, the end of the mirror cut the transfer short.
func cause(of error: any Error) -> String {
  error is CancellationError ? "it was cut short by the end of the mirror" : String(describing: error)
}

/// An error as the caller of a mirror is given it: with its kind, and with what it was about.
func describe(_ error: any Error, of subject: String? = nil) -> any Error {
  if error is CancellationError || error is MirrorError { return error }
  let text = subject.map { "\($0): \(error)" } ?? "\(error)"
  return MirrorError(error is S3Error ? .incomplete : .local, text, fault: ServiceFault(error))
}

extension MirrorError: CustomStringConvertible {
  /// Failures that a description names, and a command's last words: after an outage there are thousands.
  package static let namedFailures = 20

  /// The message, and a line for each of the first failures; ``failures`` has them all.
  public var description: String { lines.map { visible($0) }.joined(separator: "\n") }

  /// The same, line by line as they are.
  package var lines: [String] {
    let more = failures.count - Self.namedFailures
    return [message] + failures.prefix(Self.namedFailures).map { "  \($0)" }
      + (more > 0 ? ["  and \(more) more"] : [])
  }
}
