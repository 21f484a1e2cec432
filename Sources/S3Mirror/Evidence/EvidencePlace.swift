import Digests
import LocalTree
import SystemPackage

/// Where the evidence of one upload is kept: a file in `$XDG_CACHE_HOME/s3mirror/evidence`, named by remote and local root.
struct EvidencePlace: Sendable {
  let directory: FilePath
  let file: FilePath

  /// - Parameters:
  ///   - cache: `$XDG_CACHE_HOME/s3mirror`.
  ///   - bucket: the identity of endpoint and bucket.
  init(cache: FilePath, bucket: String, prefix: String, local: FilePath) {
    directory = cache.appending("evidence")
    let name = hexadecimal(sha256([bucket, prefix, local.string].joined(separator: "\0"))).prefix(32)
    file = directory.appending(String(name))
  }

  /// `$XDG_CACHE_HOME/s3mirror`, or `~/.cache/s3mirror` without that variable (XDG Base Directory Specification).
  static func cache(environment: [String: String], home: FilePath) -> FilePath {
    let named = environment["XDG_CACHE_HOME"].map { FilePath($0) }.flatMap { $0.isAbsolute ? $0 : nil }
    return (named ?? home.appending(".cache")).appending("s3mirror")
  }
}
