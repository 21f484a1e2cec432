import Digests
import HTTPTransport
import LocalTree

/// A stretch of a file that is read from the page cache while it is sent, so that memory holds none of it.
///
/// The stretch was read once before, for its checksum, which left it in the page cache: this second reading is a plain
/// pread(2) on the loop's thread, 256 KiB in about 30 µs, no slower than copying them from a buffer of ours. A cache that is
/// too small for that is asked to read ahead, 4 MiB at a time, so that the disk works while the network does.
/// Buffers filled by other threads would need a pause whenever they are late, and would hold the loop up just as long
/// only on a disk that is slower than the network.
///
/// Where nobody else compares what is sent with what was hashed, this does: it hands the last bytes over only if the checksum
/// is the same, else the request fails short of its announced length, and the server keeps nothing of it. In a reread it is the
/// MD5 that is held against that of the first reading (FileDigest).
///
/// `@unchecked Sendable`: the loop's thread alone reads it while a request runs; whoever else does, does so before or after.
final class StreamedBody: RequestBody, @unchecked Sendable {
  /// Who finds out that the bytes sent are not those that were hashed.
  enum Comparison: Sendable, Hashable {
    case here
    /// Also by the MD5 of another reading, in lower-case hex.
    case hereByMD5(String)
    /// A server that is known to compare the checksum that it is sent; the second time, after a refusal perhaps, it is done
    /// here too, so that a change is told from a fault on the way.
    case byServer
  }

  /// 4 MiB: a sixteenth of a second at 64 MiB/s, the pace of a slow disk.
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
  private let expectedMD5: String?
  let byteCount: Int64
  private var progress: Progress

  init(file: LocalFile, start: Int64, byteCount: Int64, expected: CRC32, comparison: Comparison = .here) {
    self.file = file
    self.start = start
    self.byteCount = byteCount
    self.expected = expected
    expectedMD5 = if case .hereByMD5(let md5) = comparison { md5 } else { nil }
    progress = Progress(md5: expectedMD5.map { _ in MD5Hasher() }, isCompared: comparison != .byServer)
  }

  /// - Throws: `UploadAbandoned.changed` when the file is shorter, or its bytes are not those that were hashed; `TreeError`.
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

  /// A request that is sent again begins at 0. Any other jump costs a reading of what lies before.
  private func resume(at offset: Int64) throws {
    if offset != progress.sent {
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
