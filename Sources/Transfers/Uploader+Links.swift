import Digests
import MirrorModel
import S3Client

extension Uploader {
  /// Publishes a symbolic link as a small object (LINK-11).
  ///
  /// - Parameter stamp: the link's own stamp.
  package func uploadLink(_ text: [UInt8], stamp: FileStamp, to key: String) async throws -> UploadReceipt {
    var metadata = metadata(for: stamp)
    metadata[LinkObject.metadataName] = LinkObject.metadataValue
    let answer = try await resources.slots.withPermit {
      try await upload(text, contentType: LinkObject.contentType, metadata: metadata, to: key)
    }
    // A link's text never changes; another link has another inode or a later ctime.
    return UploadReceipt(
      byteCount: Int64(text.count), parts: 1, partsReused: 0, attempts: 1, etag: answer.etag,
      requestID: answer.requestID, answered: answer.serverDate, crc32: CRC32(text).base64, checksum: .size,
      proof: .closed, stamp: stamp, isSnapshot: false,
      stampLasts: stamp.timeUntilTrusted(at: wallClock()) == .zero)
  }
}
