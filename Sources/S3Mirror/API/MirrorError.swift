import S3Client

/// The error of a scope, or of a call on its session.
public struct MirrorError: Error, Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    /// A spec, a name or an option is wrong. Reported before any transfer.
    case invalid
    /// Credentials, profile, endpoint, bucket or access are wrong. Reported before any transfer.
    case configuration
    /// A local path does not exist or cannot be used.
    case local
    /// Some files were not transferred. ``failures`` lists them.
    case incomplete
    /// The scope ended or was cancelled before the work was complete.
    case interrupted
  }

  /// One path that could not be transferred, and why.
  public struct Failure: Sendable, Hashable, CustomStringConvertible {
    /// Relative to the upload's or download's root.
    public var path: String
    public var reason: String
    /// S3's answer, if it was the cause.
    public var fault: ServiceFault?

    public init(path: String, reason: String, fault: ServiceFault? = nil) {
      self.path = path
      self.reason = reason
      self.fault = fault
    }

    public var description: String { "\(path): \(reason)" }
  }

  public var kind: Kind
  /// One sentence with the cause and the remedy.
  public var message: String
  public var failures: [Failure]
  /// S3's answer, if a single answer was the cause.
  public var fault: ServiceFault?

  public init(_ kind: Kind, _ message: String, failures: [Failure] = [], fault: ServiceFault? = nil) {
    self.kind = kind
    self.message = message
    self.failures = failures
    self.fault = fault
  }
}

/// The text of an error. For a cancellation, the text says that the end of the mirror interrupted the
/// transfer.
func cause(of error: any Error) -> String {
  error is CancellationError ? "it was cut short by the end of the mirror" : String(describing: error)
}

/// Turns an error into one for the caller of a mirror, with its kind and its subject.
func describe(_ error: any Error, of subject: String? = nil) -> any Error {
  if error is CancellationError || error is MirrorError { return error }
  let text = subject.map { "\($0): \(error)" } ?? "\(error)"
  return MirrorError(error is S3Error ? .incomplete : .local, text, fault: ServiceFault(error))
}

extension MirrorError: CustomStringConvertible {
  /// How many failures a description and a command's last message name; an outage can cause thousands.
  package static let namedFailures = 20

  /// The message, and one line for each of the first failures. ``failures`` holds all of them.
  public var description: String { lines.map { visible($0) }.joined(separator: "\n") }

  /// The same as separate lines, without escaping.
  package var lines: [String] {
    let more = failures.count - Self.namedFailures
    return [message] + failures.prefix(Self.namedFailures).map { "  \($0)" }
      + (more > 0 ? ["  and \(more) more"] : [])
  }
}
