/// A running mirror: local paths by name, and the operations that are available while the body runs.
///
/// ```swift
/// try await withMirror(["data": .download("s3://bucket/data")]) { mirror in
///   let data = try mirror.data   // ~/.cache/positronic/s3/bucket/data
/// }
/// ```
@dynamicMemberLookup
public final class MirrorSession: Sendable {
  private let scope: MirrorScope

  init(scope: MirrorScope) {
    self.scope = scope
  }

  /// The local path of a download, upload or sync.
  ///
  /// - Throws: ``MirrorError`` of kind `invalid` for an unknown name; the message lists the known ones.
  public subscript(dynamicMember name: String) -> FilePath {
    get throws { try scope.path(of: name) }
  }

  /// The local path of a name that is not a Swift identifier.
  public subscript(name: String) -> FilePath {
    get throws { try scope.path(of: name) }
  }

  /// Fetches one more remote now. See ``MirrorSpec/download(_:local:delete:exclude:include:access:)``.
  ///
  /// - Returns: its local path.
  @discardableResult
  public func download(
    _ remote: String, name: String? = nil, local: String? = nil, delete: Bool = false,
    exclude: [String] = [], include: [String] = [], access: BucketAccess? = nil
  ) async throws -> FilePath {
    try await scope.add(
      .download(remote, local: local, delete: delete, exclude: exclude, include: include, access: access),
      name: name ?? remote)
  }

  /// Publishes one more tree from now on. See
  /// ``MirrorSpec/upload(_:local:interval:delete:exclude:include:properties:access:)``.
  ///
  /// - Returns: its local path.
  @discardableResult
  public func upload(
    _ remote: String, name: String? = nil, local: String? = nil, interval: Duration? = .seconds(300),
    delete: Bool = true, exclude: [String] = [], include: [String] = [],
    properties: ObjectProperties = .init(), access: BucketAccess? = nil
  ) async throws -> FilePath {
    try await scope.add(
      .upload(
        remote, local: local, interval: interval, delete: delete, exclude: exclude, include: include,
        properties: properties, access: access),
      name: name ?? remote)
  }

  /// Downloads and then publishes one more tree. See
  /// ``MirrorSpec/sync(_:local:interval:delete:exclude:include:properties:access:)``.
  ///
  /// - Returns: its local path.
  @discardableResult
  public func sync(
    _ remote: String, name: String? = nil, local: String? = nil, interval: Duration? = .seconds(300),
    delete: Bool = true, exclude: [String] = [], include: [String] = [],
    properties: ObjectProperties = .init(), access: BucketAccess? = nil
  ) async throws -> FilePath {
    try await scope.add(
      .sync(
        remote, local: local, interval: interval, delete: delete, exclude: exclude, include: include,
        properties: properties, access: access),
      name: name ?? remote)
  }

  /// The depth of a listing.
  public enum Depth: Sendable, Hashable {
    /// One level. A deeper object is represented by its next directory, with a slash at its end.
    case level
    case recursive
  }

  /// The full URLs of the objects under a remote, in the server's order.
  public func ls(_ remote: String, depth: Depth = .level) async throws -> [String] {
    var urls: [String] = []
    try await scope.list(remote, depth: depth) { urls.append($0.url) }
    return urls
  }

  /// Returns when everything that was closed before the call is published.
  ///
  /// - Parameter name: one upload; nil flushes all.
  /// - Throws: ``MirrorError`` of kind `incomplete` that lists what could not be published.
  public func flush(_ name: String? = nil) async throws {
    try await scope.flush(name)
  }

  /// The state of each upload at this moment.
  public var status: [UploadStatus] { scope.status }
}
