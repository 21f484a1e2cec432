import Digests
import HTTPTransport
import LocalTree
import Synchronization

/// A stretch of a file that is read while it is sent, for parts that memory should not hold.
///
/// The stretch was read once before, for its checksum. This second reading computes it again, and hands the last bytes over only
/// if they are equal: else the request fails short of its announced length, and the server keeps nothing of it.
///
/// The reading is a plain pread(2) on the loop's thread. The first reading left the stretch in the page cache, where
/// 256 KiB cost about 30 µs; a cache that is too small for that is asked to read ahead, 4 MiB at a time, so that
/// the disk works while the network does. Buffers filled by other threads would need a pause whenever they are late,
/// and would hold the loop up just as long only on a disk that is slower than the network.
final class StreamedBody: RequestBody {
  /// 4 MiB: a sixteenth of a second at 64 MiB/s, the pace of a slow disk.
  private static let readAheadBytes: Int64 = 4 << 20

  private struct Progress {
    var sent: Int64 = 0
    var crc = CRC32()
    var advised: Int64 = 0
  }

  private let file: LocalFile
  private let start: Int64
  private let expected: CRC32
  let byteCount: Int64
  private let progress = Mutex(Progress())

  init(file: LocalFile, start: Int64, byteCount: Int64, expected: CRC32) {
    self.file = file
    self.start = start
    self.byteCount = byteCount
    self.expected = expected
  }

  /// - Throws: `UploadAbandoned.changed` when the file is shorter, or its bytes are not those that were hashed; `TreeError`.
  func copyBytes(from offset: Int64, into target: UnsafeMutableRawBufferPointer) throws -> Int {
    let wanted = Int(min(Int64(target.count), byteCount - offset))
    guard wanted > 0 else { return 0 }
    return try progress.withLock { progress in
      try resume(&progress, at: offset)
      let piece = UnsafeMutableRawBufferPointer(rebasing: target[..<wanted])
      guard try file.read(at: start + offset, into: piece) == wanted else { throw UploadAbandoned.changed }
      progress.crc.update(UnsafeRawBufferPointer(piece))
      progress.sent += Int64(wanted)
      if progress.sent == byteCount, progress.crc != expected { throw UploadAbandoned.changed }
      return wanted
    }
  }

  /// A request that is sent again begins at 0. Any other jump costs a reading of what lies before.
  private func resume(_ progress: inout Progress, at offset: Int64) throws {
    if offset != progress.sent {
      progress = Progress(
        sent: offset, crc: try checksum(of: file, from: start, byteCount: offset), advised: offset)
    }
    if offset >= progress.advised {
      let end = min(offset + 2 * Self.readAheadBytes, byteCount)
      file.advise(.willNeed(start + offset..<start + end))
      progress.advised = offset + Self.readAheadBytes
    }
  }
}
