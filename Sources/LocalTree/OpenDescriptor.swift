import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// An open descriptor that is closed with its last owner.
///
/// Its operations are system calls, which any thread may make.
final class OpenDescriptor: Sendable {
  let raw: CInt

  init(adopting raw: CInt) { self.raw = raw }

  deinit {
    // close(2): on Linux the descriptor is gone even after EINTR, so a second try could close another's. An error
    // would tell of a write-back that failed; PartialFile asks fdatasync(2) for that before it publishes.
    _ = close(raw)
  }

  /// openat(2).
  convenience init(
    at directory: OpenDescriptor, _ name: String, _ flags: CInt, mode: mode_t = 0
  ) throws(Errno) {
    self.init(
      adopting: try uninterrupted { s3m_open_at(directory.raw, name, flags | O_CLOEXEC, mode) })
  }

  /// openat2(2): no component of the path may be a symbolic link, and none may climb above `root`.
  convenience init(beneath root: OpenDescriptor, _ path: String, _ flags: CInt) throws(Errno) {
    self.init(adopting: try uninterrupted { s3m_open_beneath(root.raw, path, flags | O_CLOEXEC, 0) })
  }

  /// fstat(2).
  func status() throws(Errno) -> TreeRoot.Entry {
    var status = stat()
    _ = try uninterrupted { fstat(raw, &status) }
    return TreeRoot.Entry(status)
  }

  /// pread(2) until the buffer is full or the file ends; how many bytes that are.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's thread.
  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = try uninterrupted {
        pread(
          raw, buffer.baseAddress?.advanced(by: filled), buffer.count - filled, off_t(offset) + off_t(filled))
      }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// fstatat(2).
  func status(of name: String, flags: CInt = AT_SYMLINK_NOFOLLOW) throws(Errno) -> TreeRoot.Entry {
    var status = stat()
    _ = try uninterrupted { fstatat(raw, name, &status, flags) }
    return TreeRoot.Entry(status)
  }
}

/// Makes a system call again while a signal interrupts it; -1 becomes errno's error.
func uninterrupted<Value: FixedWidthInteger & SignedInteger>(_ call: () -> Value) throws(Errno) -> Value {
  while true {
    let value = call()
    if value != -1 { return value }
    let cause = Errno(rawValue: errno)
    if cause != .interrupted { throw cause }
  }
}

/// Opens with O_NOATIME, so that mirroring a tree does not rewrite its inodes; open(2) allows that to the owner
/// only (EPERM), and to others the plain open is made.
func withoutAccessTime<Value>(_ flags: CInt, _ open: (CInt) throws(Errno) -> Value) throws(Errno) -> Value {
  do {
    return try open(flags | S3M_O_NOATIME)
  } catch .notPermitted {
    return try open(flags)
  }
}

extension TreeRoot.Entry {
  init(_ status: stat) {
    kind = EntryKind(mode: status.st_mode)
    stamp = FileStamp(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
      modified: status.st_mtim.nanoseconds, changed: status.st_ctim.nanoseconds,
      links: UInt64(status.st_nlink))
  }
}

extension EntryKind {
  /// As getdents64(2) and readdir(3) tell it, without a stat(2); nil where the filesystem does not.
  init?(directoryType: UInt8) {
    switch Int(directoryType) {
    case Int(DT_REG): self = .file
    case Int(DT_DIR): self = .directory
    case Int(DT_LNK): self = .symbolicLink
    case Int(DT_UNKNOWN): return nil
    default: self = .special
    }
  }

  init(mode: mode_t) {
    switch mode & S_IFMT {
    case S_IFREG: self = .file
    case S_IFDIR: self = .directory
    case S_IFLNK: self = .symbolicLink
    default: self = .special
    }
  }
}

extension timespec {
  /// Since 1970, which 64 bits hold until the year 2262. A filesystem may hold any time, so the sum may not trap.
  fileprivate var nanoseconds: Int64 {
    let (product, overflow) = Int64(tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return tv_sec < 0 ? .min : .max }
    return product &+ Int64(tv_nsec)
  }

  init(nanoseconds: Int64) {
    let seconds = nanoseconds >= 0 ? nanoseconds / 1_000_000_000 : (nanoseconds - 999_999_999) / 1_000_000_000
    self.init(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds - seconds * 1_000_000_000))
  }
}
