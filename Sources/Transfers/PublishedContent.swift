import Digests
import LocalTree

/// What lies on S3 of a file that is only appended to, as far as it can be held against the file's beginning.
package struct PublishedContent: Sendable, Hashable {
  package var byteCount: Int64
  /// Bare; the MD5 of the content where the object went up in one request and is not encrypted with a KMS key (Amazon S3
  /// API Reference, "Object", ETag).
  package var etag: String
  /// Base64 of the whole object's CRC-32; nil where it is not known.
  package var crc32: String?

  package init(byteCount: Int64, etag: String, crc32: String?) {
    self.byteCount = byteCount
    self.etag = etag
    self.crc32 = crc32
  }

  /// Whether the file begins with this content. Content that nothing can be held against is never the beginning. Blocks:
  /// for a reader thread.
  ///
  /// The MD5 decides where it is equal; else the CRC-32 does, because not every ETag that looks like an MD5 is one.
  func isBeginning(of file: LocalFile) throws -> Bool {
    guard byteCount <= file.stamp.size else { return false }
    let isMD5 = etag.utf8.count == 32 && etag.utf8.allSatisfy { $0 != UInt8(ascii: "-") }
    guard isMD5 || crc32 != nil else { return false }
    let md5 = MD5Hasher()
    var crc = CRC32()
    try forEachPiece(of: file, from: 0, byteCount: byteCount) { piece in
      if isMD5 { md5.update(piece) }
      crc.update(piece)
    }
    return isMD5 && hexadecimal(md5.finish()) == etag || crc32.map { $0 == crc.base64 } ?? false
  }
}
