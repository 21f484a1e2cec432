import CLinux
import Glibc
import SystemPackage

/// Where a tree is: the system calls that begin at a path and not at an open file.
///
/// `KernelFileSystem` is the machine's own. Tests have another one, in memory, that stops at a chosen call.
package protocol FileSystem: Sendable {
  /// open(2), with O_CLOEXEC.
  func open(_ path: String, _ flags: CInt) throws(Errno) -> any Descriptor
  /// stat(2): a link at the path is followed.
  func status(of path: String) throws(Errno) -> stat
  /// faccessat(2), with the permissions of the effective user.
  func checkAccess(_ path: String, _ mode: CInt) throws(Errno)
  /// realpath(3); nil if something on the path does not exist or cannot be read.
  func resolved(_ path: String) -> String?
}

/// A file or directory that is open: its system calls.
///
/// It is closed with its last reference. Any thread may make its calls. A name is relative to the directory that is
/// open. A call that a signal interrupts is repeated.
package protocol Descriptor: AnyObject, Sendable {
  // MARK: Names in a directory

  /// openat(2), with O_CLOEXEC.
  func open(_ name: UnsafePointer<CChar>, _ flags: CInt, mode: mode_t) throws(Errno) -> any Descriptor
  /// openat2(2), with O_CLOEXEC: no component of the path may be a symbolic link, and none may leave the directory.
  func open(beneath path: UnsafePointer<CChar>, _ flags: CInt) throws(Errno) -> any Descriptor
  /// fstatat(2).
  func status(of name: UnsafePointer<CChar>, flags: CInt) throws(Errno) -> stat
  /// statx(2), of what is mounted at the name.
  func mount(at name: UnsafePointer<CChar>, flags: CInt) throws(Errno) -> s3m_mounted
  /// readlinkat(2). Returns the number of bytes.
  func readLink(_ name: UnsafePointer<CChar>, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int
  /// getdents64(2). Returns the number of bytes.
  func readDirectory(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int
  /// mkdirat(2).
  func makeDirectory(_ name: UnsafePointer<CChar>, mode: mode_t) throws(Errno)
  /// symlinkat(2).
  func makeLink(_ name: UnsafePointer<CChar>, text: UnsafePointer<CChar>) throws(Errno)
  /// unlinkat(2).
  func unlink(_ name: UnsafePointer<CChar>, flags: CInt) throws(Errno)
  /// renameat(2).
  func rename(
    _ name: UnsafePointer<CChar>, to directory: any Descriptor, _ other: UnsafePointer<CChar>
  ) throws(Errno)
  /// utimensat(2), for the name itself: a link is not followed. The access time stays as it is.
  func setModified(_ nanoseconds: Int64, of name: UnsafePointer<CChar>) throws(Errno)

  // MARK: The content

  /// fstat(2).
  func status() throws(Errno) -> stat
  /// fstatfs(2), `f_type`.
  func filesystemMagic() throws(Errno) -> UInt32
  /// statvfs(3): the free bytes for this user; nil if the filesystem does not report them.
  func freeSpace() throws(Errno) -> Int64?
  /// pread(2). Returns the number of bytes, which is 0 only at the end.
  func readOnce(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int
  /// preadv2(2) with RWF_NOWAIT: the bytes that are in the page cache. Throws EAGAIN if none is.
  func readCached(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int
  /// pwrite(2). Returns the number of bytes.
  func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Errno) -> Int
  /// ftruncate(2).
  func truncate(to byteCount: Int64) throws(Errno)
  /// fallocate(2), from the file's start.
  func allocate(_ byteCount: Int64) throws(Errno)
  /// fdatasync(2).
  func synchronize() throws(Errno)
  /// futimens(3). The access time stays as it is.
  func setModified(_ nanoseconds: Int64) throws(Errno)
  /// posix_fadvise(2). A length of 0 means to the end.
  func advise(_ offset: Int64, _ byteCount: Int64, _ advice: CInt)
  /// ioctl_ficlone(2): shares the blocks of another file.
  func clone(_ source: any Descriptor) throws(Errno)

  // MARK: Other processes

  /// flock(2).
  func lock(_ operation: CInt) throws(Errno)
  /// fcntl(2), F_SETLEASE.
  func setLease(_ kind: CInt) throws(Errno)
  /// fcntl(2), F_GETLEASE.
  func lease() throws(Errno) -> CInt
  /// fcntl(2), F_SETSIG.
  func setLeaseSignal(_ signal: CInt) throws(Errno)
  /// inotify_add_watch(2), of this file by an inotify instance. Returns the watch's number.
  func addWatch(to instance: CInt, _ mask: UInt32) throws(Errno) -> CInt
  /// poll(2) for POLLPRI, without waiting: whether /proc/self/mountinfo has changed. True if the call fails.
  func hasPriorityEvent() -> Bool
}

extension Descriptor {
  func open(_ name: UnsafePointer<CChar>, _ flags: CInt) throws(Errno) -> any Descriptor {
    try open(name, flags, mode: 0)
  }

  /// The entry that is open.
  func entry() throws(Errno) -> TreeRoot.Entry { TreeRoot.Entry(try status()) }

  /// The entry that has the name.
  func entry(
    _ name: UnsafePointer<CChar>, flags: CInt = AT_SYMLINK_NOFOLLOW
  ) throws(Errno) -> TreeRoot.Entry {
    TreeRoot.Entry(try status(of: name, flags: flags))
  }

  /// Reads until the buffer is full or the file ends. Returns the number of bytes.
  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let count = try readOnce(at: offset + Int64(filled), into: rest)
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Reads exactly this number of bytes; nil if the file ends earlier.
  func read(at offset: Int64, byteCount: Int) throws(Errno) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    // SAFETY: the call writes only within the array's buffer.
    let count = try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
      try read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
    }
    return count == byteCount ? bytes : nil
  }

  /// Writes all bytes.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Errno) {
    var written = 0
    while written < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
      written += try writeOnce(rest, at: offset + Int64(written))
    }
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
