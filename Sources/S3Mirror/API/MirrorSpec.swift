import MirrorModel
import SystemPackage

public typealias FilePath = SystemPackage.FilePath

/// One named line of a mirror: a download, an upload, or both.
///
/// Made with ``download(_:local:delete:exclude:include:access:)``,
/// ``upload(_:local:interval:delete:exclude:include:properties:access:)`` and
/// ``sync(_:local:interval:delete:exclude:include:properties:access:)``; what is wrong with one is said when the scope is entered, before
/// the first byte moves.
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
  /// Of what is published.
  var properties = ObjectProperties()
  /// Nil is the options'.
  var access: BucketAccess?
  /// What happens to this upload when the body throws; nil is the options'.
  package var onError: Options.OnError?

  /// Whether the remote is a local path, so that nothing is transferred.
  package var isPassThrough: Bool { RemoteReference.isPath(remote) }

  /// Fetches `remote` on entry.
  ///
  /// - Parameters:
  ///   - remote: `s3://[profile@]bucket/key`: that object if it exists, else the prefix `key/`; with a trailing slash
  ///     always the prefix. A local path (absolute, or from `.`, `..` or `~`) passes through, and must exist.
  ///   - local: where it goes; by default below ``Options/cacheRoot``.
  ///   - delete: remove local files that are not on S3, under the guard that the semantics page describes.
  ///   - exclude: gitignore-style patterns, relative to the root.
  ///   - include: if not empty, only what matches is fetched.
  ///   - access: how the bucket is asked; nil is ``Options/access``.
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
  ///   - remote: `s3://[profile@]bucket/key`. A local path (absolute, or from `.`, `..` or `~`) passes through: its
  ///     directory is created, nothing is sent.
  ///   - local: the tree; by default below ``Options/cacheRoot``. Created if it is absent.
  ///   - interval: the time from tick to tick, by default 300 seconds; nil publishes at exit only, zero as soon as a
  ///     change is closed and has been quiet for a second.
  ///   - delete: remove objects whose file is gone, under the guard that the semantics page describes.
  ///   - exclude: gitignore-style patterns; what they match is neither pushed nor deleted.
  ///   - include: if not empty, only what matches is pushed.
  ///   - properties: storage class, encryption and the like of what is published.
  ///   - access: how the bucket is asked; nil is ``Options/access``.
  public static func upload(
    _ remote: String, local: String? = nil, interval: Duration? = .seconds(300), delete: Bool = true,
    exclude: [String] = [], include: [String] = [], properties: ObjectProperties = .init(),
    access: BucketAccess? = nil
  ) -> MirrorSpec {
    MirrorSpec(
      direction: .upload, remote: remote, local: local, interval: interval, delete: delete,
      exclude: exclude, include: include, properties: properties, access: access)
  }

  /// Downloads first, then uploads from the same path: resumes a run. The download takes what is absent here or
  /// older here, never what is later here, and never deletes locally. Parameters are those of an upload.
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
