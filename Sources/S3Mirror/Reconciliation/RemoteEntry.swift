import MirrorModel
import S3Client

/// An object with its path below the root.
struct RemoteEntry: Sendable {
  /// The path of a file, or of a `DirectoryMarker`.
  var path: RelativePath
  var object: RemoteObject
}

extension RemoteEntry: ScratchRecord {
  func write(to bytes: inout ScratchBytes) {
    bytes.append(path.string)
    bytes.append(object.byteCount)
    bytes.append(object.lastModified)
    bytes.append(object.etag)
  }

  init(from bytes: inout ScratchBytes) throws {
    path = RelativePath(try bytes.text())
    let byteCount = try bytes.number()
    let lastModified = try bytes.number()
    object = RemoteObject(byteCount: byteCount, etag: try bytes.text(), lastModified: lastModified)
  }
}

/// One page of a listing, as a comparison uses it.
struct RemotePage: Sendable {
  /// In key order.
  var entries: [RemoteEntry] = []
  /// The server's clock minus ours, in nanoseconds; nil if the answer had no `Date`.
  var serverSkew: Int64?
  /// Keys that no local path can have, so they are not compared.
  var refused: [UnsafeKey] = []
  /// Those of the refused keys that are directory markers with content. No marker may overwrite them.
  var foreignMarkers: Set<DirectoryMarker> = []
  /// Keys that are not UTF-8, percent-encoded as they were sent.
  var unreadable: [String] = []
  /// Directories whose listing may be incomplete, because a key in them could not be decoded.
  var unseen: Set<RelativePath> = []
  /// No page follows, and all pages came in order.
  var isLast = false
}

extension ListedObject {
  /// The object without its key.
  var remote: RemoteObject {
    RemoteObject(byteCount: byteCount, etag: etag, lastModified: lastModified ?? 0)
  }
}
