import Digests
import LocalTree
import MirrorModel
import S3Client

/// What arrived is held against the best that S3 keeps of it.
extension Downloader {
  /// - Parameters:
  ///   - damaged: the CRC-32 of a body that came before and seemed damaged.
  ///   - md5: asked for only where S3 keeps no CRC-32 and the ETag may be an MD5.
  ///   - fits: whether the content is that of a tag, by one of some part sizes.
  /// - Throws: `DownloadMismatch` when the content is another one.
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
    // The body is damaged, or its parts have another size, which the server may know.
    guard let first = try await sizeOfFirstPart(key, of: object, tag) else { return .size }
    if !tried.contains(first), try await fits(tag, [first]) { return tag.check }
    // Twice the same bytes are not damaged on their way: the parts after the first differ in size, or the tag is no digest.
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
      // A server that does not know parts.
      return nil
    }
    guard let first = head.contentLength, tag.gives(first, of: object.byteCount) else { return nil }
    return first
  }

  /// Whether a download whose bytes have all arrived is the content of a tag.
  func isContent(_ file: PartialFile, of tag: CompositeTag, by partSizes: [Int64]) async throws -> Bool {
    try await resources.readers.run {
      var check = CompositeCheck(tag, byteCount: file.byteCount, partSizes: partSizes)
      let isWhole = try forEachPiece(of: file, from: 0, byteCount: file.byteCount) { check.update($0) }
      return isWhole && check.finish()
    }
  }
}
