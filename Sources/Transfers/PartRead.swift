import Digests
import LocalTree

/// A stretch of a file in memory, with its checksum.
struct PartRead: Sendable {
  let buffer: PartBuffer
  let crc: CRC32

  /// Reads exactly `byteCount` bytes at `offset`. Blocks: for a reader thread.
  ///
  /// - Throws: `UploadAbandoned.changed` when the file has become shorter.
  static func read(_ file: LocalFile, at offset: Int64, byteCount: Int) throws -> PartRead {
    let buffer = PartBuffer(capacity: byteCount)
    try buffer.fill(from: file, at: offset, byteCount: byteCount)
    guard buffer.count == byteCount else { throw UploadAbandoned.changed }
    var crc = CRC32()
    crc.update(buffer.bytes)
    return PartRead(buffer: buffer, crc: crc)
  }
}
