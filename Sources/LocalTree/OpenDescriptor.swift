import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// An open descriptor that is closed with its last reference.
///
/// Its operations are system calls, which any thread may make.
final class OpenDescriptor: Sendable {
  let raw: CInt

  init(adopting raw: CInt) { self.raw = raw }

  deinit {
    // close(2): on Linux the descriptor is closed even after EINTR, so a second call could close another
    // file. An error would report a failed write-back; PartialFile calls fdatasync(2) for that before it
    // publishes.
    _ = close(raw)
  }

  /// openat(2).
  convenience init(
    at directory: OpenDescriptor, _ name: String, _ flags: CInt, mode: mode_t = 0
  ) throws(Errno) {
    self.init(
      adopting: try uninterrupted { s3m_open_at(directory.raw, name, flags | O_CLOEXEC, mode) })
  }

  /// openat2(2): no component of the path may be a symbolic link, and none may leave `root`.
  convenience init(beneath root: OpenDescriptor, _ path: String, _ flags: CInt) throws(Errno) {
    self.init(adopting: try uninterrupted { s3m_open_beneath(root.raw, path, flags | O_CLOEXEC, 0) })
  }

  /// fstat(2).
  func status() throws(Errno) -> TreeRoot.Entry {
    var status = stat()
    _ = try uninterrupted { fstat(raw, &status) }
    return TreeRoot.Entry(status)
  }

  /// pread(2) until the buffer is full or the file ends. Returns the number of bytes.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's
  // thread.
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

/// Repeats a system call that a signal interrupts. A result of -1 throws the error in errno.
func uninterrupted<Value: FixedWidthInteger & SignedInteger>(_ call: () -> Value) throws(Errno) -> Value {
  while true {
    let value = call()
    if value != -1 { return value }
    let cause = Errno(rawValue: errno)
    if cause != .interrupted { throw cause }
  }
}

/// Opens with O_NOATIME, so that mirroring a tree does not rewrite its inodes. open(2) allows this only to
/// the owner (EPERM); other users open without it.
func withoutAccessTime<Value>(_ flags: CInt, _ open: (CInt) throws(Errno) -> Value) throws(Errno) -> Value {
  do {
    return try open(flags | S3M_O_NOATIME)
  } catch .notPermitted {
    return try open(flags)
  }
}

extension TreeRoot.Entry {
  init(_ status: stat) {
    self.init(
      kind: EntryKind(mode: status.st_mode),
      stamp: FileStamp(
        device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
        modified: status.st_mtim.nanoseconds, changed: status.st_ctim.nanoseconds,
        links: UInt64(status.st_nlink)))
  }
}

extension EntryKind {
  /// The type in getdents64(2) and readdir(3), which needs no stat(2); nil if the filesystem gives none.
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
  /// Nanoseconds since 1970, which 64 bits hold until the year 2262. A filesystem may hold any time, so an
  /// overflow must not trap.
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
