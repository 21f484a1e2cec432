import MirrorModel
import S3Client

/// What an `s3://` URL names: the object if it exists, else the prefix; with a trailing slash always the prefix.
enum RemoteKind: Sendable {
  case object(RemoteObject)
  case prefix

  /// - Throws: `S3Error` other than "not found".
  static func find(_ location: S3Location, in store: any ObjectStore) async throws -> RemoteKind {
    if location.isExplicitPrefix { return .prefix }
    do {
      let head = try await store.send(HeadObject(key: location.key))
      return .object(
        RemoteObject(byteCount: head.byteCount, etag: head.etag, lastModified: head.lastModified ?? 0))
    } catch let error as S3Error where error.isNotFound {
      return .prefix
    }
  }
}
