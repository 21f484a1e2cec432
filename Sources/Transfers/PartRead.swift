import Digests
import HTTPTransport
import LocalTree

/// A stretch of a file, hashed and ready to be sent.
struct PartRead: Sendable {
  enum Holding: Sendable, Hashable {
    /// In memory: it is read once.
    case buffered
    /// In the file: it is read again while it is sent.
    case streamed(StreamedBody.Comparison)
  }

  let byteCount: Int64
  let crc: CRC32
  let body: any RequestBody
  /// The bytes, where they are in memory.
  var buffer: PartBuffer? { (body as? PartBody)?.buffer }

  /// 256 KiB: hashed out of the second-level cache, which holds 1 MiB or more on today's servers.
  static let pieceBytes = 256 << 10

  /// A whole file that fits in one piece and is in the page cache, as one that was just written is; else nil. Does not
  /// block, so it spares a small file the way to a reader thread and back.
  static func cached(_ file: LocalFile) -> PartRead? {
    let byteCount = Int(file.stamp.size)
    guard byteCount <= pieceBytes else { return nil }
    let buffer = PartBuffer(capacity: byteCount)
    guard buffer.fillFromCache(of: file, at: 0, byteCount: byteCount) else { return nil }
    return PartRead(byteCount: file.stamp.size, crc: CRC32(buffer.bytes), body: PartBody(buffer: buffer))
  }

  /// Reads exactly `byteCount` bytes at `offset`. Blocks: for a reader thread.
  ///
  /// - Throws: `UploadAbandoned.changed` when the file has become shorter; `TreeError`.
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

  /// The MD5 of the bytes, in lower-case hex: what an ETag is held against where the server compares no CRC-32. It takes
  /// eight times as long as that, so it is made only when it is asked for. Blocks: for a reader thread.
  ///
  /// - Throws: `UploadAbandoned.changed` when the stretch is not in memory and no longer as it was; `TreeError`.
  func md5() throws -> String { try digest(by: MD5Hasher()) }

  /// The SHA-256 of the bytes, in lower-case hex, for a signature that covers them. Blocks: for a reader thread.
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
