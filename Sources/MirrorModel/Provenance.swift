/// Which writer an object comes from that a delete is about to remove, as far as this mirror can know.
///
/// A delete may remove an object that was there when the mirror began and has not been written since, or that
/// this mirror wrote. Every other object comes from another writer, and only that writer knows whether the
/// object is superfluous.
///
/// Only times of the server are compared with each other. This machine's clock decides nothing.
package enum Provenance: Sendable, Hashable {
  /// The object was there when the mirror began and has not been written since.
  case entry
  /// This mirror wrote it: this run, or an earlier run on the same tree whose last request arrived late.
  case own
  /// Another writer put it there since the mirror began.
  case foreign
  /// The listing does not decide it. The object's metadata must be read.
  case unsettled

  /// The writer that an object's metadata name.
  package enum Signature: Sendable, Hashable {
    /// The metadata have not been read.
    case unread
    /// The metadata name no writer: another program wrote the object, or the server stores no metadata.
    case none
    case own
    case other
  }

  /// What this run last published under a name.
  package struct Publication: Sendable, Hashable {
    package var etag: String
    /// When the server answered, by the server's clock: nanoseconds since 1970-01-01 UTC. Nil if the answer
    /// had no date.
    package var answered: Int64?

    package init(etag: String, answered: Int64?) {
      self.etag = etag
      self.answered = answered
    }

    /// `Date` has whole seconds (RFC 9110 §5.6.7), and so has AWS' `LastModified`. Other servers give
    /// fractions.
    private static let dateStep: Int64 = 1_000_000_000

    /// Whether the object is this publication, and not equal content that another writer put there later.
    func isThat(of object: RemoteObject, _ signature: Signature) -> Bool {
      guard object.etag == etag else { return false }
      guard let answered else { return signature == .none }
      return object.lastModified < answered.addingSaturated(Self.dateStep)
    }
  }

  /// - Parameters:
  ///   - isOfEntry: whether the object was there when the mirror began and is unchanged.
  ///   - published: nil if this run published nothing there, or no longer remembers it.
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

  /// Whether a delete may remove the object.
  package var mayGo: Bool { self == .entry || self == .own }
}
