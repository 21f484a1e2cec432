import Digests
import HTTPTransport
import LocalTree

/// A stretch of a file with its checksum, ready to be sent.
struct PartRead: Sendable {
  enum Holding: Sendable, Hashable {
    /// In memory. The file is read once.
    case buffered
    /// In the file. It is read again while it is sent.
    case streamed(StreamedBody.Comparison)
  }

  let byteCount: Int64
  let crc: CRC32
  let body: any RequestBody
  /// The bytes, if they are in memory.
  var buffer: PartBuffer? { (body as? PartBody)?.buffer }

  /// 256 KiB: small enough to be hashed from the second-level cache, which holds 1 MiB or more on current
  /// servers.
  static let pieceBytes = 256 << 10

  /// Reads a whole file that fits into one piece and is in the page cache, as a newly written file is;
  /// otherwise nil. The read does not block, so a small file needs no reader thread.
  static func cached(_ file: LocalFile) -> PartRead? {
    let byteCount = Int(file.stamp.size)
    guard byteCount <= pieceBytes else { return nil }
    let buffer = PartBuffer(capacity: byteCount)
    guard buffer.fillFromCache(of: file, at: 0, byteCount: byteCount) else { return nil }
    return PartRead(byteCount: file.stamp.size, crc: CRC32(buffer.bytes), body: PartBody(buffer: buffer))
  }

  /// Reads exactly `byteCount` bytes at `offset`. Blocks: call it on a reader thread.
  ///
  /// - Throws: `UploadAbandoned.changed` if the file has become shorter; `TreeError`.
  static func read(
    _ file: LocalFile, at offset: Int64, byteCount: Int64, holding: Holding
  ) throws -> PartRead {
    switch holding {
    case .buffered:
      var crc = CRC32()
      let buffer = PartBuffer(capacity: Int(byteCount))
      try buffer.fill(from: file, at: offset, byteCount: Int(byteCount), pieceBytes: pieceBytes) { piece in
        crc.update(piece)
      }
      guard Int64(buffer.count) == byteCount else { throw UploadAbandoned.changed }
      return PartRead(byteCount: byteCount, crc: crc, body: PartBody(buffer: buffer))
    case .streamed(let comparison):
      let crc = try checksum(of: file, from: offset, byteCount: byteCount)
      let body = StreamedBody(
        file: file, start: offset, byteCount: byteCount, expected: crc, comparison: comparison)
      return PartRead(byteCount: byteCount, crc: crc, body: body)
    }
  }

  /// The MD5 of the bytes in lower-case hex. It is compared with the ETag if the server compares no CRC-32.
  /// An MD5 takes eight times as long as a CRC-32, so it is computed on demand. Blocks: call it on a reader
  /// thread.
  ///
  /// - Throws: `UploadAbandoned.changed` if the stretch is not in memory and has changed; `TreeError`.
  func md5() throws -> String { try digest(by: MD5Hasher()) }

  /// The SHA-256 of the bytes in lower-case hex, for a signature that covers the bytes. Blocks: call it on a
  /// reader thread.
  ///
  /// - Throws: as `md5()`.
  func sha256() throws -> String { try digest(by: SHA256Hasher()) }

  private func digest(by hasher: some StreamingDigest) throws -> String {
    if let bytes = body.stableBytes {
      hasher.update(bytes)
    } else {
      var offset: Int64 = 0
      while offset < byteCount {
        let piece = try body.bytes(from: offset, limit: Self.pieceBytes)
        hasher.update(piece)
        offset += Int64(piece.count)
      }
    }
    return hexadecimal(hasher.finish())
  }
}
