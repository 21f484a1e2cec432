/// What the text of a remote means: a place on S3, or a local path that is used unchanged.
///
/// Only text that looks like a path is a path. `bucket/key` may be a directory, or a URL without its `s3://`.
/// A wrong guess would silently mirror nothing, or create a directory.
package enum RemoteReference: Sendable, Hashable {
  case s3(S3Location)
  /// The path as written: absolute, or beginning with `.`, `..` or `~`.
  case local(String)

  /// - Throws: `S3LocationError` with the reason and the remedy.
  package init(parsing text: String) throws(S3LocationError) {
    if Self.isPath(text) {
      self = .local(text)
      return
    }
    do {
      self = .s3(try S3Location(parsing: text))
    } catch {
      // A local path is suggested only if the text could be one.
      guard error.isWithoutScheme, !text.isEmpty else { throw error }
      throw S3LocationError(
        url: text, reason: error.reason + ", or ./\(text) for a local path", isWithoutScheme: true)
    }
  }

  /// Whether text is absolute, or its first name is `.`, `..` or `~`. `~user` does not count: only shells
  /// know other users' home directories.
  package static func isPath(_ text: String) -> Bool {
    guard let first = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).first
    else { return false }
    return [[], Array(".".utf8), Array("..".utf8), Array("~".utf8)].contains(Array(first)) && !text.isEmpty
  }
}
