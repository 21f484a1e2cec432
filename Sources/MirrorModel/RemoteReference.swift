/// What the text of a remote names: a place on S3, or a local path that passes through.
///
/// Only what looks like a path is one. `bucket/key` may be a forgotten `s3://` as well as a directory, and to guess would
/// mirror nothing, or make a directory, without a word.
package enum RemoteReference: Sendable, Hashable {
  case s3(S3Location)
  /// As written: absolute, or from `.`, `..` or `~`.
  case local(String)

  /// - Throws: `S3LocationError` with the reason and the cure.
  package init(parsing text: String) throws(S3LocationError) {
    if Self.isPath(text) {
      self = .local(text)
      return
    }
    do {
      self = .s3(try S3Location(parsing: text))
    } catch {
      // A path is a cure only where the text could be one.
      guard error.isWithoutScheme, !text.isEmpty else { throw error }
      throw S3LocationError(
        url: text, reason: error.reason + ", or ./\(text) for a local path", isWithoutScheme: true)
    }
  }

  /// Absolute, or beginning with `.`, `..` or `~` as a whole name. `~user` is none: only shells know other homes.
  package static func isPath(_ text: String) -> Bool {
    guard let first = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).first
    else { return false }
    return [[], Array(".".utf8), Array("..".utf8), Array("~".utf8)].contains(Array(first)) && !text.isEmpty
  }
}
