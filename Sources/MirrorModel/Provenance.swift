/// Whose an object is that a delete is about to remove, as far as this mirror can know.
///
/// An object may go if nobody has written it since the mirror began, or if this mirror wrote it. Another writer put everything else
/// there, and only that writer knows whether the object is superfluous.
///
/// Clocks are compared only where both are the server's. This machine's own clock decides nothing.
package enum Provenance: Sendable, Hashable {
  /// The object lay there when the mirror began, and nobody has written it since.
  case entry
  /// This mirror wrote it: this run, or an earlier run on the same tree whose last request arrived late.
  case own
  /// Another writer put it there since the mirror began.
  case foreign
  /// What a listing tells does not decide it; the object's metadata do.
  case unsettled

  /// Whom an object's metadata name as its writer.
  package enum Signature: Sendable, Hashable {
    /// Nobody has read the metadata.
    case unread
    /// Another program, or a server that keeps no metadata.
    case none
    case own
    case other
  }

  /// What this run last published under a name.
  package struct Publication: Sendable, Hashable {
    package var etag: String
    /// When the server answered, by the server's clock: nanoseconds since 1970-01-01 UTC. Nil where it did not say.
    package var answered: Int64?

    package init(etag: String, answered: Int64?) {
      self.etag = etag
      self.answered = answered
    }

    /// `Date` has whole seconds (RFC 9110 §5.6.7), and so has AWS' `LastModified`; other servers give fractions.
    private static let dateStep: Int64 = 1_000_000_000

    /// Whether the object is this very publication, and not the same content written by somebody else later.
    func isThat(of object: RemoteObject, _ signature: Signature) -> Bool {
      guard object.etag == etag else { return false }
      guard let answered else { return signature == .none }
      return object.lastModified < answered.addingSaturated(Self.dateStep)
    }
  }

  /// - Parameters:
  ///   - isOfEntry: whether the object is, unchanged, one of those that lay there when the mirror began.
  ///   - published: nil where this run published nothing there, or remembers it no more.
  package init(
    of object: RemoteObject, isOfEntry: Bool, published: Publication?, signature: Signature = .unread
  ) {
    if isOfEntry {
      self = .entry
    } else if let published, published.isThat(of: object, signature) {
      self = .own
    } else {
      self =
        switch signature {
        case .own: .own
        case .unread: .unsettled
        case .none, .other: .foreign
        }
    }
  }

  /// Whether a delete may take the object.
  package var mayGo: Bool { self == .entry || self == .own }
}
