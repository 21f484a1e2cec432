import LocalTree
import MirrorModel
import S3Client
import SystemPackage

/// A spec whose remote is on S3, with both of its places.
///
/// A run, a plan, a verification and a one-shot command all use this value, so that a plan matches the run.
struct ResolvedSpec: Sendable {
  var location: S3Location
  var bucket: OpenBucket
  /// Absolute, without `.`, `..` and symbolic links, so that two names of one place are the same path.
  var local: FilePath
  /// The same path as the user named it, with its symbolic links, because their targets may change.
  var named: FilePath
  /// Selects the paths below the root: the spec's patterns, without the tool's own folders.
  var filter: PathFilter
  /// Whether the local path was written with a trailing slash. Then a single object goes into that directory.
  var isNamedAsDirectory: Bool
  /// `$XDG_CACHE_HOME/s3mirror`.
  var cacheDirectory: FilePath
}

extension ResolvedSpec {
  /// The location as a prefix, with or without a slash at the end of its URL.
  var locationOfPrefix: S3Location {
    var location = location
    location.key = location.prefix
    return location
  }

  /// Where the evidence of this spec is kept.
  var evidence: EvidencePlace {
    EvidencePlace(cache: cacheDirectory, bucket: bucket.identity, prefix: location.prefix, local: local)
  }
}
