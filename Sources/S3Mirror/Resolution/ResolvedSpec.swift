import LocalTree
import MirrorModel
import S3Client
import SystemPackage

/// A spec whose remote is on S3 and whose two sides are known.
///
/// A run, a plan, a verification and a one-shot command all take their places from this value, so that a plan says what a
/// run does.
struct ResolvedSpec: Sendable {
  var location: S3Location
  var bucket: OpenBucket
  /// Absolute, without `.` and `..`, and without symbolic links: two names of one place are one path.
  var local: FilePath
  /// The same as the user named it, with its symbolic links: where they lead may change.
  var named: FilePath
  /// What counts below the root: what the spec's patterns keep, without the tool's own folders.
  var filter: PathFilter
  /// The local path was written with a trailing slash: a single object goes into that directory.
  var isNamedAsDirectory: Bool
  /// `$XDG_CACHE_HOME/s3mirror`.
  var cacheDirectory: FilePath
}

extension ResolvedSpec {
  /// The location of what lies below the prefix, whether the URL says so or not.
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
