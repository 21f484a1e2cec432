import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// How a partial file comes by its descriptor and its space.
extension PartialFile {
  /// Opens the temporary file or makes it, and locks it.
  ///
  /// What stands under the name may be a leftover of ours, or anything somebody planted; only a plain file of this user
  /// with this one name is written to. The lock may be won on a file that was renamed or removed just then, so
  /// the name is asked again afterwards.
  static func openLocked(_ name: String, in directory: OpenDescriptor) throws(Errno) -> OpenDescriptor {
    // Each turn means that another process changed the name in between; 16 of these in a row are no accident.
    for _ in 0..<16 {
      let opened: OpenDescriptor
      do {
        opened = try OpenDescriptor(
          at: directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o666)
      } catch .tooManySymbolicLinkLevels {
        try removeName(name, in: directory)
        continue
      }
      var status = stat()
      _ = try uninterrupted { fstat(opened.raw, &status) }
      let isPlain = status.st_mode & S_IFMT == S_IFREG && status.st_nlink <= 1 && status.st_uid == geteuid()
      if !isPlain {
        if status.st_nlink > 0 { try removeName(name, in: directory) }
        continue
      }
      try lock(opened)
      if try isName(name, of: opened, in: directory) { return opened }
    }
    throw .resourceBusy
  }

  /// Fails only where there are no locks to give back.
  static func unlock(_ file: OpenDescriptor) {
    flock(file.raw, LOCK_UN)
  }

  /// flock(2): released by the kernel when the process dies. A filesystem without locks (ENOLCK, ENOTSUP …) goes
  /// without: there the last publication wins.
  private static func lock(_ file: OpenDescriptor) throws(Errno) {
    do {
      _ = try uninterrupted { flock(file.raw, LOCK_EX | LOCK_NB) }
    } catch .noLocks, .notSupported, .invalidArgument, .noFunction {
      return
    }
  }

  private static func removeName(_ name: String, in directory: OpenDescriptor) throws(Errno) {
    do {
      _ = try uninterrupted { unlinkat(directory.raw, name, 0) }
    } catch .noSuchFileOrDirectory {
      return
    }
  }

  /// Whether the name still leads to the opened file.
  static func isName(
    _ name: String, of file: OpenDescriptor, in directory: OpenDescriptor
  ) throws(Errno) -> Bool {
    let opened = try file.status().stamp
    do {
      let named = try directory.status(of: name).stamp
      return named.inode == opened.inode && named.device == opened.device
    } catch .noSuchFileOrDirectory {
      return false
    }
  }

  /// Reserves blocks for bytes that have none yet, so that a full disk shows before the first byte comes.
  static func allocate(_ byteCount: Int64, in file: OpenDescriptor) throws(Errno) {
    // fallocate(2) takes no length of 0.
    if byteCount == 0 { return }
    // On tmpfs this makes every page: one call for all, where each write would make its own while it keeps the others off
    // the file.
    do {
      _ = try uninterrupted { s3m_allocate(file.raw, off_t(byteCount)) }
    } catch .notSupported, .noFunction {
      // NFSv3, some FUSE: the free space was checked, more cannot be promised.
      return
    }
  }

  /// The bytes that a filesystem still gives this user (statvfs(3), f_bavail); nil where it does not say.
  static func freeSpace(at directory: OpenDescriptor) throws(Errno) -> Int64? {
    var filesystem = statvfs()
    _ = try uninterrupted { fstatvfs(directory.raw, &filesystem) }
    if filesystem.f_blocks == 0 { return nil }
    let (bytes, overflow) = UInt64(filesystem.f_bavail).multipliedReportingOverflow(
      by: UInt64(filesystem.f_frsize))
    return overflow ? .max : Int64(clamping: bytes)
  }
}

/// A record behind the content: magic, length, FNV-1a of the payload, payload; integers little-endian.
enum ProgressRecord {
  private static let magic = Array("S3MPART1".utf8)
  private static let headerSize = 8 + 8 + 8
  /// A record tells of at most 10,000 parts: 1 MiB is a hundred bytes for each.
  private static let largestPayload = 1 << 20

  static func write(_ payload: [UInt8], to file: OpenDescriptor, at offset: Int64) throws(Errno) {
    precondition(payload.count <= largestPayload, "a progress record of \(payload.count) bytes")
    let record = magic + bytes(UInt64(payload.count)) + bytes(fnv1a(payload)) + payload
    try record.withUnsafeBufferPointer { bytes throws(Errno) in
      try file.write(UnsafeRawBufferPointer(bytes), at: offset)
    }
  }

  /// The payload; nil when there is none, or it was not written whole.
  static func read(from file: OpenDescriptor, at offset: Int64) throws(Errno) -> [UInt8]? {
    guard let header = try file.read(at: offset, byteCount: headerSize) else { return nil }
    guard Array(header[..<8]) == magic else { return nil }
    let count = integer(header[8..<16])
    guard count <= UInt64(largestPayload) else { return nil }
    guard let payload = try file.read(at: offset + Int64(headerSize), byteCount: Int(count)) else {
      return nil
    }
    return fnv1a(payload) == integer(header[16..<24]) ? payload : nil
  }

  private static func bytes(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  private static func integer(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

extension OpenDescriptor {
  /// stat(2): st_blocks counts 512 bytes, whatever the filesystem's block is.
  func allocatedBytes() throws(Errno) -> Int64 {
    var status = stat()
    _ = try uninterrupted { fstat(raw, &status) }
    return Int64(status.st_blocks) * 512
  }

  /// pwrite(2) until all is written.
  // SAFETY: the kernel reads the bytes during the call only.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Errno) {
    var written = 0
    while written < bytes.count {
      written += try uninterrupted {
        pwrite(
          raw, bytes.baseAddress?.advanced(by: written), bytes.count - written, off_t(offset) + off_t(written)
        )
      }
    }
  }

  /// pread(2) of exactly so many bytes; nil when the file ends before.
  func read(at offset: Int64, byteCount: Int) throws(Errno) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    var filled = 0
    while filled < byteCount {
      let count = try uninterrupted {
        bytes.withUnsafeMutableBytes { buffer in
          pread(
            raw, buffer.baseAddress?.advanced(by: filled), byteCount - filled, off_t(offset) + off_t(filled))
        }
      }
      if count == 0 { return nil }
      filled += count
    }
    return bytes
  }
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): short names and torn records, no adversary.
func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
  bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}
