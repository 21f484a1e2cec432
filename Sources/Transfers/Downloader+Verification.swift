import Digests
import LocalTree
import MirrorModel
import S3Client

/// Compares a download with the best digest that S3 stores for it.
extension Downloader {
  /// - Parameters:
  ///   - damaged: the CRC-32 of an earlier body that seemed damaged.
  ///   - md5: used only if S3 stores no CRC-32 and the ETag may be an MD5.
  ///   - fits: returns whether the content matches a tag for one of some part sizes.
  /// - Throws: `DownloadMismatch` if the content differs.
  func verify(
    _ key: String, crc: CRC32, head: ObjectHead, object: RemoteObject, after damaged: CRC32?,
    md5: @autoclosure () -> String?, fits: (CompositeTag, [Int64]) async throws -> Bool
  ) async throws -> IntegrityCheck {
    if let stored = head.fullObjectCRC32 {
      guard stored == crc else {
        throw DownloadMismatch(
          key: key, reason: "its CRC-32 is \(crc.base64), S3 keeps \(stored.base64); nothing was written",
          damaged: crc)
      }
      return .crc32
    }
    if let expected = object.possibleMD5, md5() == expected { return .md5 }
    guard let tag = CompositeTag(head), !(tag.isMD5 && resources.opaqueTags.contains(store.bucket)) else {
      return .size
    }
    let tried = tag.partSizes(of: object.byteCount)
    if !tried.isEmpty, try await fits(tag, tried) { return tag.check }
    // Either the body is damaged, or the parts have another size. The server may know the size.
    guard let first = try await sizeOfFirstPart(key, of: object, tag) else { return .size }
    if !tried.contains(first), try await fits(tag, [first]) { return tag.check }
    // Two equal bodies were not damaged in transit. Either the later parts differ in size from the first, or
    // the tag is no digest.
    if crc == damaged {
      if tag.isMD5 { resources.opaqueTags.insert(store.bucket) }
      return .size
    }
    throw DownloadMismatch(
      key: key,
      reason: "it is not what S3's digest of its \(tag.partCount) parts says; nothing was written",
      damaged: crc)
  }

  private func sizeOfFirstPart(_ key: String, of object: RemoteObject, _ tag: CompositeTag) async throws
    -> Int64?
  {
    let head: ObjectHead
    do {
      head = try await store.send(HeadObject(key: key, ifMatch: ifMatch(object), partNumber: 1))
    } catch let error as S3Error
      where error.code == S3ErrorTriage.malformedAnswer || !error.isRetryable && error.status != 412
    {
      // The server does not support part numbers.
      return nil
    }
    guard let first = head.contentLength, tag.gives(first, of: object.byteCount) else { return nil }
    return first
  }

  /// Whether a complete download matches a tag for one of some part sizes.
  func isContent(_ file: PartialFile, of tag: CompositeTag, by partSizes: [Int64]) async throws -> Bool {
    try await resources.readers.run {
      var check = CompositeCheck(tag, byteCount: file.byteCount, partSizes: partSizes)
      let isWhole = try forEachPiece(of: file, from: 0, byteCount: file.byteCount) { check.update($0) }
      return isWhole && check.finish()
    }
  }
}
