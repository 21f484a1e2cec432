import MirrorModel
import SystemPackage

public typealias FilePath = SystemPackage.FilePath

/// One part of a mirror: a download, an upload, or both.
///
/// Made with ``download(_:local:delete:exclude:include:access:)``,
/// ``upload(_:local:interval:delete:exclude:include:properties:access:)`` and
/// ``sync(_:local:interval:delete:exclude:include:properties:access:)``. Errors in a spec are reported when
/// the scope is entered, before any transfer.
public struct MirrorSpec: Sendable, Hashable {
  enum Direction: Sendable, Hashable {
    case download
    case upload
    case sync
  }

  var direction: Direction
  package var remote: String
  var local: String?
  var interval: Duration?
  var delete: Bool
  var exclude: [String]
  var include: [String]
  /// Properties of published objects.
  var properties = ObjectProperties()
  /// Nil takes ``Options/access``.
  var access: BucketAccess?
  /// What happens to this upload if the body throws. Nil takes ``Options/onError``.
  package var onError: Options.OnError?

  /// Whether the remote is a local path, so that nothing is transferred.
  package var isPassThrough: Bool { RemoteReference.isPath(remote) }

  /// Fetches `remote` at entry.
  ///
  /// - Parameters:
  ///   - remote: `s3://[profile@]bucket/key`: the object of that key if it exists, otherwise the prefix
  ///     `key/`. With a trailing slash always the prefix. A local path (absolute, or beginning with `.`, `..`
  ///     or `~`) is used unchanged and must exist.
  ///   - local: the local path; by default below ``Options/cacheRoot``.
  ///   - delete: remove local files that are not on S3, within the guard that the semantics page describes.
  ///   - exclude: gitignore-style patterns, relative to the root.
  ///   - include: gitignore-style patterns; if not empty, only matching files are fetched.
  ///   - access: how requests to the bucket are sent; nil takes ``Options/access``.
  public static func download(
    _ remote: String, local: String? = nil, delete: Bool = false, exclude: [String] = [],
    include: [String] = [], access: BucketAccess? = nil
  ) -> MirrorSpec {
    MirrorSpec(
      direction: .download, remote: remote, local: local, interval: nil, delete: delete, exclude: exclude,
      include: include, access: access)
  }

  /// Publishes a local tree, or one file, while the scope runs and when it ends.
  ///
  /// - Parameters:
  ///   - remote: `s3://[profile@]bucket/key`. A local path (absolute, or beginning with `.`, `..` or `~`) is
  ///     used unchanged: its directory is created and nothing is uploaded.
  ///   - local: the tree or file; by default below ``Options/cacheRoot``. An absent tree is created.
  ///   - interval: the time between two ticks, by default 300 seconds. Nil publishes at exit only. Zero
  ///     publishes a change once it is closed and has been quiet for ``Options/settle``.
  ///   - delete: remove objects whose file is gone, within the guard that the semantics page describes.
  ///   - exclude: gitignore-style patterns; matching paths are neither uploaded nor deleted.
  ///   - include: gitignore-style patterns; if not empty, only matching files are uploaded.
  ///   - properties: storage class, encryption and other properties of the published objects.
  ///   - access: how requests to the bucket are sent; nil takes ``Options/access``.
  public static func upload(
    _ remote: String, local: String? = nil, interval: Duration? = .seconds(300), delete: Bool = true,
    exclude: [String] = [], include: [String] = [], properties: ObjectProperties = .init(),
    access: BucketAccess? = nil
  ) -> MirrorSpec {
    MirrorSpec(
      direction: .upload, remote: remote, local: local, interval: interval, delete: delete,
      exclude: exclude, include: include, properties: properties, access: access)
  }

  /// Downloads first, then uploads from the same path, to resume a run. The download fetches objects whose
  /// files are absent or older here. It never overwrites a newer local file and never deletes a local file.
  /// The parameters are those of an upload.
  public static func sync(
    _ remote: String, local: String? = nil, interval: Duration? = .seconds(300), delete: Bool = true,
    exclude: [String] = [], include: [String] = [], properties: ObjectProperties = .init(),
    access: BucketAccess? = nil
  ) -> MirrorSpec {
    MirrorSpec(
      direction: .sync, remote: remote, local: local, interval: interval, delete: delete,
      exclude: exclude, include: include, properties: properties, access: access)
  }
}
