import MirrorModel
import S3Client

/// An object that has a place below the root.
struct RemoteEntry: Sendable {
  /// Of a file, or of a `DirectoryMarker`.
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

/// What a page of a listing holds for a comparison.
struct RemotePage: Sendable {
  /// In key order.
  var entries: [RemoteEntry] = []
  /// The server's clock minus ours, in nanoseconds; nil where it sent no `Date`.
  var serverSkew: Int64?
  /// Keys that no local path can hold: they have no counterpart to be compared with.
  var refused: [UnsafeKey] = []
  /// Of these the ones of directory markers that have content: no marker may be written over them.
  var foreignMarkers: Set<DirectoryMarker> = []
  /// Keys that are not UTF-8, percent-encoded as they were sent.
  var unreadable: [String] = []
  /// Directories whose listing may miss something, because a key in them could not be read.
  var unseen: Set<RelativePath> = []
  /// Nothing comes after this page, and all pages came in order.
  var isLast = false
}

extension ListedObject {
  /// Without its key.
  var remote: RemoteObject {
    RemoteObject(byteCount: byteCount, etag: etag, lastModified: lastModified ?? 0)
  }
}
