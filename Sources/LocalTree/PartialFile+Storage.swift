import Glibc
import MirrorModel
import SystemPackage

/// The descriptor and the disk space of a partial file.
extension PartialFile {
  /// Opens or creates the temporary file and locks it.
  ///
  /// An existing file under the name may be a leftover of this program, or a file that another user placed
  /// there. Only a regular file of this user with this single name is used. The file may have been renamed or
  /// removed just before it was locked, so the name is checked again afterwards.
  static func openLocked(_ name: String, in directory: any Descriptor) throws(Errno) -> any Descriptor {
    // A further turn means that another process changed the name in between. Sixteen turns in a row are no
    // accident.
    for _ in 0..<16 {
      let opened: any Descriptor
      do {
        opened = try directory.open(
          name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o666)
      } catch .tooManySymbolicLinkLevels {
        try removeName(name, in: directory)
        continue
      }
      let status = try opened.status()
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

  /// Fails only on a filesystem without locks, where there is nothing to release.
  static func unlock(_ file: any Descriptor) {
    _ = Result { () throws(Errno) in try file.lock(LOCK_UN) }
  }

  /// flock(2): the kernel releases the lock when the process ends. On a filesystem without locks (ENOLCK,
  /// ENOTSUP …) there is none, and the last publication wins.
  private static func lock(_ file: any Descriptor) throws(Errno) {
    do {
      try file.lock(LOCK_EX | LOCK_NB)
    } catch .noLocks, .notSupported, .invalidArgument, .noFunction {
      return
    }
  }

  private static func removeName(_ name: String, in directory: any Descriptor) throws(Errno) {
    do {
      try directory.unlink(name, flags: 0)
    } catch .noSuchFileOrDirectory {
      return
    }
  }

  /// Whether the name still leads to the opened file.
  static func isName(
    _ name: String, of file: any Descriptor, in directory: any Descriptor
  ) throws(Errno) -> Bool {
    let opened = try file.entry().stamp
    do {
      let named = try directory.entry(name).stamp
      return named.inode == opened.inode && named.device == opened.device
    } catch .noSuchFileOrDirectory {
      return false
    }
  }

  /// Reserves disk space for bytes that have none yet, so that a full disk is reported before the first byte
  /// arrives.
  static func allocate(_ byteCount: Int64, in file: any Descriptor) throws(Errno) {
    // fallocate(2) rejects a length of 0.
    if byteCount == 0 { return }
    // On tmpfs this creates every page in one call. Otherwise each write would create its own pages while it
    // keeps other writes off the file.
    do {
      try file.allocate(byteCount)
    } catch .notSupported, .noFunction {
      // NFSv3 and some FUSE filesystems: the free space was checked; more is impossible.
      return
    }
  }
}

/// A record behind the content: magic, length, FNV-1a of the payload, payload. Integers are little-endian.
enum ProgressRecord {
  private static let magic = Array("S3MPART1".utf8)
  private static let headerSize = 8 + 8 + 8
  /// A record covers at most 10,000 parts: 1 MiB allows a hundred bytes for each.
  private static let largestPayload = 1 << 20

  static func write(_ payload: [UInt8], to file: any Descriptor, at offset: Int64) throws(Errno) {
    precondition(payload.count <= largestPayload, "a progress record of \(payload.count) bytes")
    let record = magic + bytes(UInt64(payload.count)) + bytes(fnv1a(payload)) + payload
    // SAFETY: the bytes are used only during the call.
    try record.withUnsafeBufferPointer { bytes throws(Errno) in
      try file.write(UnsafeRawBufferPointer(bytes), at: offset)
    }
  }

  /// The payload; nil if there is none, or if it was not written completely.
  static func read(from file: any Descriptor, at offset: Int64) throws(Errno) -> [UInt8]? {
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

extension Descriptor {
  /// stat(2): st_blocks counts units of 512 bytes, whatever the filesystem's block size is.
  func allocatedBytes() throws(Errno) -> Int64 {
    Int64(try status().st_blocks) * 512
  }
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): enough for short names and torn records, where no attacker is
/// expected.
func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
  bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}
