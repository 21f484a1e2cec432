import Digests
import LocalTree
import LoopThread
import MirrorModel
import S3Client
import Transfers

/// Determines by content whether a local file and an object of equal size are equal (CHG-9).
struct ContentComparison: Sendable {
  let root: TreeRoot
  let mapping: KeyMapping
  let store: any ObjectStore
  let readers: WorkerThreads
  let policy: ComparePolicy
  /// The versions that this run published or found equal; nil for downloads.
  let ledger: PublishedLedger?
  /// Where a download, which has no ledger, notes the files that it found equal.
  var evidence: EvidenceStore?
  /// Nanoseconds since 1970-01-01 UTC.
  var wallClock: @Sendable () -> Int64 = wallClockNanoseconds

  /// Whether the contents are equal. A file that vanishes or changes meanwhile is not equal.
  ///
  /// If the listed ETag is the file's MD5, the contents are equal; any other ETag proves nothing. Then one
  /// HeadObject request reads the stored checksum, or else the mtime that was stored with the object. A file
  /// that was found equal is noted, so that a polled part is not read at every tick.
  func isSame(_ path: RelativePath, stamp: FileStamp, remote: RemoteObject) async throws -> Bool {
    if let record = ledger?.record(of: path, matching: stamp, allowing: .none),
      record.etag == remote.etag
    {
      return true
    }
    if root.symlinks == .link, let text = try await readers.run({ try root.linkText(at: path) }) {
      return try await isSame(linkAt: path, text, stamp: stamp, remote: remote)
    }
    guard let file = try await readers.run({ try root.open(path) }), file.stamp.isSameVersion(as: stamp)
    else {
      return false
    }
    guard ledger != nil || evidence != nil else { return try await equality(file, remote) != nil }
    let began = wallClock()
    let stamps: StampTrust = stamp.timeUntilTrusted(at: began) > .zero ? .tooFresh : .trusted
    let check = PublicationCheck(root: root, path: path, file: file, isCloseSeen: false, stamps: stamps)
    guard let equality = try await equality(file, remote) else { return false }
    guard policy != .checksum, equality.isOfListed, let writers = try check.writersIfStampStandsForContent()
    else { return true }
    let reading = StampedReading(
      stamp: stamp, began: began, keeping: file.stampKeeping, writers: writers)
    let record = PublishedLedger.Record(
      stamp: stamp, etag: remote.etag, crc32: equality.crc32?.base64, stampLasts: reading.lasts,
      source: .compared)
    if let ledger { ledger.note(record, for: path) } else { evidence?.note(path, record.evidence) }
    return true
  }

  /// Whether an object is this link's. One HeadObject, because a file may have the same content.
  private func isSame(
    linkAt path: RelativePath, _ text: [UInt8], stamp: FileStamp, remote: RemoteObject
  ) async throws -> Bool {
    let head = try await store.send(HeadObject(key: mapping.key(for: path)))
    guard head.isLink(text) else { return false }
    ledger?.note(
      PublishedLedger.Record(
        stamp: stamp, etag: head.etag, crc32: CRC32(text).base64,
        stampLasts: stamp.timeUntilTrusted(at: wallClock()) == .zero, source: .compared),
      for: path)
    return true
  }

  /// How a file and an object were found equal.
  private struct Equality {
    /// The CRC-32 of both, if it was computed.
    var crc32: CRC32?
    /// Whether the object is still the one that was listed.
    var isOfListed = true
  }

  /// Nil if the contents differ, or are not known to be equal.
  private func equality(_ file: LocalFile, _ remote: RemoteObject) async throws -> Equality? {
    let stamp = file.stamp
    if let md5 = remote.possibleMD5, try await digest(of: file) == md5 { return Equality() }
    let head = try await store.send(HeadObject(key: mapping.key(for: file.path)))
    guard head.byteCount == stamp.size else { return nil }
    let isOfListed = head.etag == remote.etag
    if let stored = head.fullObjectCRC32 {
      let crc = try await readers.run { try checksum(of: file, from: 0, byteCount: stamp.size) }
      return stored == crc ? Equality(crc32: crc, isOfListed: isOfListed) : nil
    }
    guard policy != .checksum, let text = head.metadata[ModificationTime.metadataName] else { return nil }
    return ModificationTime.nanoseconds(from: text) == stamp.modified
      ? Equality(isOfListed: isOfListed) : nil
  }

  private func digest(of file: LocalFile) async throws -> String {
    try await readers.run { try md5Hexadecimal(of: file) }
  }
}

extension ObjectHead {
  /// Whether the object is a symbolic link with this text.
  func isLink(_ text: [UInt8]) -> Bool {
    guard LinkObject.isMarked(metadata), byteCount == Int64(text.count) else { return false }
    if let stored = fullObjectCRC32 { return stored == CRC32(text) }
    return mayHaveDigestTag && etag.lowercased() == hexadecimal(md5(text))
  }
}
