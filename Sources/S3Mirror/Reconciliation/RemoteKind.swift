import MirrorModel
import S3Client

/// What an `s3://` URL names: the object if it exists, otherwise the prefix. With a trailing slash always the
/// prefix.
enum RemoteKind: Sendable {
  /// - Parameter serverDate: the server's clock at its answer, in nanoseconds since 1970-01-01 UTC; nil if
  ///   the answer has no date.
  case object(RemoteObject, serverDate: Int64?)
  case prefix

  /// - Throws: `S3Error` other than "not found".
  static func find(_ location: S3Location, in store: any ObjectStore) async throws -> RemoteKind {
    if location.isExplicitPrefix { return .prefix }
    do {
      let head = try await store.send(HeadObject(key: location.key))
      return .object(
        RemoteObject(byteCount: head.byteCount, etag: head.etag, lastModified: head.lastModified ?? 0),
        serverDate: head.serverDate)
    } catch let error as S3Error where error.isNotFound {
      return .prefix
    }
  }
}
