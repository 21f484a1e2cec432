import Digests
import LocalTree

/// The CRC-32 of a stretch of a file. Blocks: for a reader thread.
///
/// - Throws: `UploadAbandoned.changed` when the file is shorter; `TreeError`.
package func checksum(of file: LocalFile, from offset: Int64, byteCount: Int64) throws -> CRC32 {
  var crc = CRC32()
  try forEachPiece(of: file, from: offset, byteCount: byteCount) { crc.update($0) }
  return crc
}

/// The CRC-32 of a stretch of a download on its way. Blocks: for a reader thread.
///
/// Bytes that are not there count as another checksum than any: the stretch is to be fetched again.
func checksum(of file: PartialFile, from offset: Int64, byteCount: Int64) throws -> CRC32? {
  var crc = CRC32()
  return try forEachPiece(of: file, from: offset, byteCount: byteCount) { crc.update($0) } ? crc : nil
}

/// Lower-case hex of the MD5 of a download whose ranges have all arrived; nil when bytes are missing all the same. Blocks:
/// for a reader thread.
func md5Hexadecimal(of file: PartialFile) throws -> String? {
  let hasher = MD5Hasher()
  let isWhole = try forEachPiece(of: file, from: 0, byteCount: file.byteCount) { hasher.update($0) }
  return isWhole ? hexadecimal(hasher.finish()) : nil
}

/// - Returns: false when the file ends before.
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

/// Lower-case hex of the MD5 of a whole file, as large as its stamp says. Blocks: for a reader thread.
///
/// - Throws: `UploadAbandoned.changed` when the file is shorter; `TreeError`.
package func md5Hexadecimal(of file: LocalFile) throws -> String {
  try md5Hexadecimal(of: file, from: 0, byteCount: file.stamp.size)
}

/// Lower-case hex of the MD5 of a stretch of a file. Blocks: for a reader thread.
///
/// Two readings are compared by it. The CRC-32 would not do: it is the same for all contents whose records each end
/// in their own CRC-32, since that cancels out what came before it.
func md5Hexadecimal(of file: LocalFile, from offset: Int64, byteCount: Int64) throws -> String {
  let hasher = MD5Hasher()
  try forEachPiece(of: file, from: offset, byteCount: byteCount) { hasher.update($0) }
  return hexadecimal(hasher.finish())
}

/// Hands out the bytes piece by piece, so that a file of any size needs one small buffer.
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
