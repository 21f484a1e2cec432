import Digests
import HTTPTransport
import LocalTree

/// A stretch of a file, hashed and ready to be sent.
struct PartRead: Sendable {
  enum Holding: Sendable, Hashable {
    /// In memory: it is read once.
    case buffered
    /// In the file: it is read again while it is sent.
    case streamed
  }

  enum DigestKinds: Sendable, Hashable {
    case crc32
    case crc32AndMD5
  }

  let byteCount: Int64
  let crc: CRC32
  /// Lower-case hex.
  let md5: String?
  let body: any RequestBody

  /// 256 KiB: hashed out of the second-level cache, which holds 1 MiB or more on today's servers.
  private static let pieceBytes = 256 << 10

  /// Reads exactly `byteCount` bytes at `offset`. Blocks: for a reader thread.
  ///
  /// - Throws: `UploadAbandoned.changed` when the file has become shorter; `TreeError`.
  static func read(
    _ file: LocalFile, at offset: Int64, byteCount: Int64, holding: Holding, digests: DigestKinds
  ) throws -> PartRead {
    var crc = CRC32()
    let hasher = digests == .crc32AndMD5 ? MD5Hasher() : nil
    let body: any RequestBody
    switch holding {
    case .buffered:
      let buffer = PartBuffer(capacity: Int(byteCount))
      try buffer.fill(from: file, at: offset, byteCount: Int(byteCount), pieceBytes: pieceBytes) { piece in
        crc.update(piece)
        hasher?.update(piece)
      }
      guard Int64(buffer.count) == byteCount else { throw UploadAbandoned.changed }
      body = PartBody(buffer: buffer)
    case .streamed:
      try forEachPiece(of: file, from: offset, byteCount: byteCount) { piece in
        crc.update(piece)
        hasher?.update(piece)
      }
      body = StreamedBody(file: file, start: offset, byteCount: byteCount, expected: crc)
    }
    return PartRead(
      byteCount: byteCount, crc: crc, md5: hasher.map { hexadecimal($0.finish()) }, body: body)
  }
}
