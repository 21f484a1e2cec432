import Digests
import LocalTree

/// The published content of a file that is only appended to, as far as it can be compared with the file's
/// beginning.
package struct PublishedContent: Sendable, Hashable {
  package var byteCount: Int64
  /// Without quotes. It is the MD5 of the content if the object was uploaded in one request and is not
  /// encrypted with a KMS key (Amazon S3 API Reference, "Object", ETag).
  package var etag: String
  /// The whole object's CRC-32 in Base64; nil if unknown.
  package var crc32: String?

  package init(byteCount: Int64, etag: String, crc32: String?) {
    self.byteCount = byteCount
    self.etag = etag
    self.crc32 = crc32
  }

  /// Whether the file begins with this content. False if nothing is known to compare with. Blocks: call it on
  /// a reader thread.
  ///
  /// An equal MD5 is enough. Otherwise the CRC-32 decides, because an ETag that looks like an MD5 may be
  /// something else.
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
