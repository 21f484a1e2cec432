import Digests
import LocalTree
import LoopThread
import MirrorModel
import S3Client
import Transfers

/// Settles whether a local file and an object of equal size are the same, by content (CHG-9).
struct ContentComparison: Sendable {
  let root: TreeRoot
  let mapping: KeyMapping
  let store: any ObjectStore
  let readers: WorkerThreads
  let policy: ComparePolicy
  /// What this run published or found to be equal; nil for downloads.
  let ledger: PublishedLedger?
  /// Nanoseconds since 1970-01-01 UTC.
  var wallClock: @Sendable () -> Int64 = wallClockNanoseconds

  /// Whether the content is the same. A file that vanished or changes meanwhile is not.
  ///
  /// The ETag in the listing proves equality when it is the file's MD5, and proves nothing otherwise; then one HEAD
  /// tells the stored checksum, and failing that the mtime that was stored with the object. What was found equal is kept in
  /// mind, so that a part that is polled is not read at every tick.
  func isSame(_ path: RelativePath, stamp: FileStamp, remote: RemoteObject) async throws -> Bool {
    if let record = ledger?.record(of: path, matching: stamp, allowing: .none),
      record.etag == remote.etag
    {
      return true
    }
    guard let file = try await readers.run({ try root.open(path) }), file.stamp.isSameVersion(as: stamp)
    else {
      return false
    }
    guard let ledger else { return try await isSame(file, as: remote) }
    let stamps: StampTrust = stamp.timeUntilTrusted(at: wallClock()) > .zero ? .tooFresh : .trusted
    let check = PublicationCheck(root: root, path: path, file: file, isCloseSeen: false, stamps: stamps)
    guard try await isSame(file, as: remote) else { return false }
    if policy != .checksum, try check.stampStandsForContent() {
      ledger.note(.init(stamp: stamp, etag: remote.etag, source: .compared), for: path)
    }
    return true
  }

  private func isSame(_ file: LocalFile, as remote: RemoteObject) async throws -> Bool {
    let stamp = file.stamp
    if let md5 = remote.possibleMD5, try await digest(of: file) == md5 { return true }
    let head = try await store.send(HeadObject(key: mapping.key(for: file.path)))
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
