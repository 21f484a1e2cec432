import Digests
import HTTPTransport
import LocalTree

/// A stretch of a file that is read from the page cache while it is sent, so that no buffer holds it.
///
/// The stretch was read once before, for its checksum, so it is in the page cache. The second read is a plain
/// pread(2) on the loop's thread: 256 KiB in about 30 µs, no slower than a copy from a buffer. In case the
/// cache is too small, read-ahead is requested 4 MiB at a time, so that the disk works while the network
/// does. The alternative, buffers that other threads fill, would pause the request whenever a buffer is late,
/// and would only help if the disk is slower than the network.
///
/// If the server does not compare the sent bytes with the checksum, this type does. It sends the last bytes
/// only if the checksum is the same; otherwise the request fails before its announced length, and the server
/// stores nothing. In a reread, the MD5 is compared with that of the first read (FileDigest).
///
/// `@unchecked Sendable`: only the loop's thread reads it while a request runs. Other threads read it before
/// or after the request.
final class StreamedBody: RequestBody, @unchecked Sendable {
  /// Where a difference between the sent and the hashed bytes is detected.
  enum Comparison: Sendable, Hashable {
    case here
    /// Here, also by the MD5 of another read, in lower-case hex.
    case hereByMD5(String)
    /// At a server that is known to compare the checksum that it receives. A repeated request is compared
    /// here too, so that a change of the file can be distinguished from a transmission error.
    case byServer
    /// Nowhere: the bytes are read once, and their checksum follows them (`TrailedBody`).
    case nowhere
  }

  /// 4 MiB: a sixteenth of a second at 64 MiB/s, the rate of a slow disk.
  private static let readAheadBytes: Int64 = 4 << 20

  private struct Progress {
    var sent: Int64 = 0
    var crc = CRC32()
    var md5: MD5Hasher?
    var advised: Int64 = 0
    var isCompared: Bool

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
      crc.update(bytes)
      md5?.update(bytes)
    }
  }

  private let file: LocalFile
  private let start: Int64
  private let expected: CRC32
  private let comparison: Comparison
  private let expectedMD5: String?
  let byteCount: Int64
  private var progress: Progress

  init(file: LocalFile, start: Int64, byteCount: Int64, expected: CRC32, comparison: Comparison = .here) {
    self.file = file
    self.start = start
    self.byteCount = byteCount
    self.expected = expected
    self.comparison = comparison
    expectedMD5 = if case .hereByMD5(let md5) = comparison { md5 } else { nil }
    progress = Progress(
      md5: expectedMD5.map { _ in MD5Hasher() }, isCompared: ![.byServer, .nowhere].contains(comparison))
  }

  /// A stretch that was not read before. It must be in the page cache, because the loop would wait for a disk.
  convenience init(unread file: LocalFile, start: Int64, byteCount: Int64) {
    self.init(file: file, start: start, byteCount: byteCount, expected: CRC32(), comparison: .nowhere)
  }

  /// - Throws: `UploadAbandoned.changed` if the file is shorter, or its bytes differ from the hashed ones;
  ///   `TreeError`.
  func copyBytes(from offset: Int64, into target: UnsafeMutableRawBufferPointer) throws -> Int {
    let wanted = Int(min(Int64(target.count), byteCount - offset))
    guard wanted > 0 else { return 0 }
    try resume(at: offset)
    let piece = UnsafeMutableRawBufferPointer(rebasing: target[..<wanted])
    guard try file.read(at: start + offset, into: piece) == wanted else { throw UploadAbandoned.changed }
    progress.sent += Int64(wanted)
    if progress.isCompared {
      progress.update(UnsafeRawBufferPointer(piece))
      if progress.sent == byteCount, !isAsHashed { throw UploadAbandoned.changed }
    }
    return wanted
  }

  private var isAsHashed: Bool {
    progress.crc == expected && progress.md5.map { hexadecimal($0.finish()) } == expectedMD5
  }

  /// A repeated request begins at 0. Any other jump requires a read of the bytes before it.
  private func resume(at offset: Int64) throws {
    if offset != progress.sent, comparison == .nowhere {
      progress = Progress(sent: offset, advised: offset, isCompared: false)
    } else if offset != progress.sent {
      progress = Progress(
        sent: offset, md5: expectedMD5.map { _ in MD5Hasher() }, advised: offset, isCompared: true)
      try forEachPiece(of: file, from: start, byteCount: offset) { progress.update($0) }
    }
    if offset >= progress.advised {
      let end = min(offset + 2 * Self.readAheadBytes, byteCount)
      file.advise(.willNeed(start + offset..<start + end))
      progress.advised = offset + Self.readAheadBytes
    }
  }
}
