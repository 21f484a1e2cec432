import Digests
import LocalTree
import LoopThread
import MirrorModel
import S3Client
import Transfers

/// Settles whether a local file and an object of equal size are the same, by content (SPEC 4, suspects).
struct ContentComparison: Sendable {
  let root: TreeRoot
  let mapping: KeyMapping
  let store: any ObjectStore
  let readers: WorkerThreads
  let policy: ComparePolicy
  /// What this run published; nil for downloads.
  let ledger: PublishedLedger?

  /// Whether the content is the same. A file that vanished or changes meanwhile is not.
  ///
  /// The ETag in the listing proves equality when it is the file's MD5, and proves nothing otherwise; then one HEAD
  /// tells the stored checksum, and failing that the mtime that was stored with the object.
  func isSame(_ path: RelativePath, stamp: FileStamp, remote: RemoteObject) async throws -> Bool {
    if let record = ledger?.record(of: path, matching: stamp, ignoringChangeTime: .untouched),
      record.etag == remote.etag
    {
      return true
    }
    guard let file = try await readers.run({ try root.open(path) }), file.stamp.isSameVersion(as: stamp)
    else {
      return false
    }
    if let md5 = remote.possibleMD5, try await digest(of: file) == md5 { return true }
    let head = try await store.send(HeadObject(key: mapping.key(for: path)))
    guard head.byteCount == stamp.size else { return false }
    if let stored = head.fullObjectCRC32 {
      let crc = try await readers.run { try checksum(of: file, from: 0, byteCount: stamp.size) }
      return stored == crc
    }
    guard policy != .checksum, let text = head.metadata[ModificationTime.metadataName] else { return false }
    return ModificationTime.nanoseconds(from: text) == stamp.modified
  }

  private func digest(of file: LocalFile) async throws -> String {
    try await readers.run { try md5Hexadecimal(of: file) }
  }
}
