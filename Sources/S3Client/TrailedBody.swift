import Digests
import HTTPTransport
import Synchronization

/// A body in chunks with its CRC-32 behind it, so that the content is read once: the checksum is that of
/// exactly the bytes that were sent.
///
/// The format is aws-chunked without signatures (S3 API Reference, "Signature calculations for the
/// Authorization header: including trailing headers"). Only a server that knows it stores the content; another
/// one may store the chunks' frames too.
package final class TrailedBody: RequestBody {
  /// 1 MiB, as in AWS's SDK for Python, which most servers have met.
  private static let chunkBytes: Int64 = 1 << 20

  package let content: any RequestBody
  package let byteCount: Int64
  private let progress = Mutex(Progress())

  /// How much of the content is in the checksum.
  private struct Progress {
    var read: Int64 = 0
    var crc = CRC32()
  }

  package init(_ content: any RequestBody) {
    self.content = content
    let (full, rest) = content.byteCount.quotientAndRemainder(dividingBy: Self.chunkBytes)
    byteCount =
      full * Self.frameCount(of: Self.chunkBytes) + full * Self.chunkBytes
      + (rest > 0 ? Self.frameCount(of: rest) + rest : 0) + Int64(Self.ending(CRC32()).count)
  }

  /// The CRC-32 of the content that was sent last; nil if it was not sent whole.
  package var checksum: CRC32? {
    progress.withLock { $0.read == content.byteCount ? $0.crc : nil }
  }

  package func copyBytes(from offset: Int64, into target: UnsafeMutableRawBufferPointer) throws -> Int {
    try progress.withLock { progress in
      var filled = 0
      while filled < target.count, offset + Int64(filled) < byteCount {
        let space = UnsafeMutableRawBufferPointer(rebasing: target[filled...])
        let count = try copyPiece(at: offset + Int64(filled), into: space, &progress)
        if count == 0 { break }
        filled += count
      }
      return filled
    }
  }

  /// Copies no more than one chunk or one frame.
  private func copyPiece(
    at offset: Int64, into space: UnsafeMutableRawBufferPointer, _ progress: inout Progress
  ) throws -> Int {
    let stride = Self.chunkBytes + Self.frameCount(of: Self.chunkBytes)
    let index = min(offset / stride, content.byteCount / Self.chunkBytes)
    let start = index * Self.chunkBytes
    let length = min(Self.chunkBytes, content.byteCount - start)
    let place = offset - index * stride
    if length == 0 {
      try advance(&progress, to: content.byteCount)
      return Self.copy(Self.ending(progress.crc), from: place, into: space)
    }
    let head = Self.head(of: length)
    let end = Int64(head.count) + length
    if place < head.count { return Self.copy(head, from: place, into: space) }
    if place < end {
      let from = start + place - Int64(head.count)
      try advance(&progress, to: from)
      let wanted = Int(min(Int64(space.count), end - place))
      let piece = UnsafeMutableRawBufferPointer(rebasing: space[..<wanted])
      let count = try content.copyBytes(from: from, into: piece)
      progress.crc.update(UnsafeRawBufferPointer(rebasing: piece[..<count]))
      progress.read += Int64(count)
      return count
    }
    if place < end + 2 { return Self.copy(Self.lineBreak, from: place - end, into: space) }
    try advance(&progress, to: content.byteCount)
    return Self.copy(Self.ending(progress.crc), from: place - end - 2, into: space)
  }

  /// Reads what the checksum lacks after a jump. A repeated request begins at 0.
  private func advance(_ progress: inout Progress, to offset: Int64) throws {
    if progress.read == offset { return }
    progress = Progress()
    while progress.read < offset {
      let piece = try content.bytes(from: progress.read, limit: Int(min(offset - progress.read, 256 << 10)))
      if piece.isEmpty { return }
      progress.crc.update(piece)
      progress.read += Int64(piece.count)
    }
  }

  private static func copy(
    _ bytes: [UInt8], from offset: Int64, into space: UnsafeMutableRawBufferPointer
  ) -> Int {
    let rest = bytes.dropFirst(Int(offset)).prefix(space.count)
    space.copyBytes(from: rest)
    return rest.count
  }

  private static let lineBreak = Array("\r\n".utf8)

  private static func head(of length: Int64) -> [UInt8] { Array("\(String(length, radix: 16))\r\n".utf8) }

  /// The bytes around a chunk of this length.
  private static func frameCount(of length: Int64) -> Int64 {
    Int64(head(of: length).count + lineBreak.count)
  }

  /// The empty chunk and the trailer.
  private static func ending(_ crc: CRC32) -> [UInt8] {
    Array("0\r\nx-amz-checksum-crc32:\(crc.base64)\r\n\r\n".utf8)
  }
}
