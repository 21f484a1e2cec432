import Digests
import LocalTree

/// The CRC-32 of a stretch of a file. Blocks: call it on a reader thread.
///
/// - Throws: `UploadAbandoned.changed` if the file is shorter; `TreeError`.
package func checksum(of file: LocalFile, from offset: Int64, byteCount: Int64) throws -> CRC32 {
  var crc = CRC32()
  try forEachPiece(of: file, from: offset, byteCount: byteCount) { crc.update($0) }
  return crc
}

/// The CRC-32 of a stretch of an unfinished download. Blocks: call it on a reader thread.
///
/// Nil if bytes are missing; the stretch must then be fetched again.
func checksum(of file: PartialFile, from offset: Int64, byteCount: Int64) throws -> CRC32? {
  var crc = CRC32()
  return try forEachPiece(of: file, from: offset, byteCount: byteCount) { crc.update($0) } ? crc : nil
}

/// The MD5, in lower-case hex, of a download whose ranges have all arrived; nil if bytes are missing. Blocks:
/// call it on a reader thread.
func md5Hexadecimal(of file: PartialFile) throws -> String? {
  let hasher = MD5Hasher()
  let isWhole = try forEachPiece(of: file, from: 0, byteCount: file.byteCount) { hasher.update($0) }
  return isWhole ? hexadecimal(hasher.finish()) : nil
}

/// - Returns: false if the file ends earlier.
func forEachPiece(
  of file: PartialFile, from offset: Int64, byteCount: Int64, _ body: (UnsafeRawBufferPointer) -> Void
) throws -> Bool {
  let piece = PartBuffer(capacity: Int(min(max(byteCount, 1), 1 << 20)))
  var done: Int64 = 0
  while done < byteCount {
    let wanted = Int(min(Int64(piece.capacity), byteCount - done))
    try piece.fill(from: file, at: offset + done, byteCount: wanted)
    guard piece.count == wanted else { return false }
    body(piece.bytes)
    done += Int64(wanted)
  }
  return true
}

/// The MD5, in lower-case hex, of a whole file with the size in its stamp. Blocks: call it on a reader
/// thread.
///
/// - Throws: `UploadAbandoned.changed` if the file is shorter; `TreeError`.
package func md5Hexadecimal(of file: LocalFile) throws -> String {
  try md5Hexadecimal(of: file, from: 0, byteCount: file.stamp.size)
}

/// The MD5, in lower-case hex, of a stretch of a file. Blocks: call it on a reader thread.
///
/// It compares two reads of a file. A CRC-32 would not suffice: it is the same for all contents whose records
/// each end in their own CRC-32, because such a CRC-32 cancels the effect of the record.
func md5Hexadecimal(of file: LocalFile, from offset: Int64, byteCount: Int64) throws -> String {
  let hasher = MD5Hasher()
  try forEachPiece(of: file, from: offset, byteCount: byteCount) { hasher.update($0) }
  return hexadecimal(hasher.finish())
}

/// The digest of a stretch of a file under the key of this process. Blocks: call it on a reader thread.
///
/// - Throws: `UploadAbandoned.changed` if the file is shorter; `TreeError`.
func keyedDigest(of range: Range<Int64>, in file: LocalFile) throws -> [UInt8] {
  let hasher = KeyedHasher()
  try forEachPiece(of: file, from: range.lowerBound, byteCount: range.upperBound - range.lowerBound) {
    hasher.update($0)
  }
  return hasher.finish()
}

/// Calls `body` with the bytes piece by piece, so that a file of any size needs only one small buffer.
func forEachPiece(
  of file: LocalFile, from offset: Int64, byteCount: Int64, _ body: (UnsafeRawBufferPointer) -> Void
) throws {
  let piece = PartBuffer(capacity: Int(min(max(byteCount, 1), Int64(PartRead.pieceBytes))))
  var done: Int64 = 0
  while done < byteCount {
    let wanted = Int(min(Int64(piece.capacity), byteCount - done))
    try piece.fill(from: file, at: offset + done, byteCount: wanted)
    guard piece.count == wanted else { throw UploadAbandoned.changed }
    body(piece.bytes)
    done += Int64(wanted)
  }
}
