import Synchronization

/// Decides whether libcurl looks for trusted certificates in its directory too (CURLOPT_CAPATH(3)).
///
/// A distribution's file and directory hold the same certificates. If the file is the only source, libcurl
/// (7.87 and later) parses it once for all connections of a loop, and otherwise once for each connection. So
/// the directory is left out if there is a file. When a server's certificate cannot be verified without the
/// directory, the request is sent again with it, and so are all later ones.
///
/// All clients of one configuration share this object.
final class CertificateDirectory: Sendable {
  enum Use: Sendable, Hashable {
    case included, leftOut
  }

  /// Nil if this libcurl has no directory.
  let path: String?
  private let isIncluded: Atomic<Bool>

  /// - Parameters:
  ///   - path: libcurl's own directory; nil if it has none.
  ///   - file: the file that libcurl reads; nil if there is none.
  init(path: String?, file: String?) {
    self.path = path
    isIncluded = Atomic(file == nil)
  }

  var use: Use { path == nil || isIncluded.load(ordering: .relaxed) ? .included : .leftOut }

  func include() { isIncluded.store(true, ordering: .relaxed) }
}
