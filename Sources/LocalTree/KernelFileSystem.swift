import CLinux
import Glibc
import SystemPackage

/// The machine's files.
package struct KernelFileSystem: FileSystem {
  package init() {}

  package func open(_ path: String, _ flags: CInt) throws(Errno) -> any Descriptor {
    KernelDescriptor(adopting: try uninterrupted { s3m_open_at(AT_FDCWD, path, flags | O_CLOEXEC, 0) })
  }

  package func status(of path: String) throws(Errno) -> stat {
    var status = stat()
    _ = try uninterrupted { stat(path, &status) }
    return status
  }

  package func checkAccess(_ path: String, _ mode: CInt) throws(Errno) {
    _ = try uninterrupted { faccessat(AT_FDCWD, path, mode, AT_EACCESS) }
  }

  package func resolved(_ path: String) -> String? {
    // SAFETY: realpath allocates the result. It is copied and then freed here, on one thread.
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}

/// An open descriptor of this process.
final class KernelDescriptor: Descriptor {
  let raw: CInt

  init(adopting raw: CInt) { self.raw = raw }

  deinit {
    // close(2): on Linux the descriptor is closed even after EINTR, so a second call could close another
    // file. An error would report a failed write-back; PartialFile calls fdatasync(2) for that before it
    // publishes.
    _ = close(raw)
  }

  // MARK: Names in a directory

  func open(_ name: UnsafePointer<CChar>, _ flags: CInt, mode: mode_t) throws(Errno) -> any Descriptor {
    KernelDescriptor(adopting: try uninterrupted { s3m_open_at(raw, name, flags | O_CLOEXEC, mode) })
  }

  func open(beneath path: UnsafePointer<CChar>, _ flags: CInt) throws(Errno) -> any Descriptor {
    KernelDescriptor(adopting: try uninterrupted { s3m_open_beneath(raw, path, flags | O_CLOEXEC, 0) })
  }

  func status(of name: UnsafePointer<CChar>, flags: CInt) throws(Errno) -> stat {
    var status = stat()
    _ = try uninterrupted { fstatat(raw, name, &status, flags) }
    return status
  }

  func mount(at name: UnsafePointer<CChar>, flags: CInt) throws(Errno) -> s3m_mounted {
    var status = s3m_mounted()
    _ = try uninterrupted { s3m_look_at_mount(raw, name, flags, &status) }
    return status
  }

  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's
  // thread. The same holds for the other calls with a buffer.
  func readLink(
    _ name: UnsafePointer<CChar>, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    guard let base = buffer.bindMemory(to: CChar.self).baseAddress else { throw .invalidArgument }
    return try uninterrupted { readlinkat(raw, name, base, buffer.count) }
  }

  func readDirectory(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    try uninterrupted { s3m_read_directory(raw, buffer.baseAddress, buffer.count) }
  }

  func makeDirectory(_ name: UnsafePointer<CChar>, mode: mode_t) throws(Errno) {
    _ = try uninterrupted { mkdirat(raw, name, mode) }
  }

  func makeLink(_ name: UnsafePointer<CChar>, text: UnsafePointer<CChar>) throws(Errno) {
    _ = try uninterrupted { symlinkat(text, raw, name) }
  }

  func unlink(_ name: UnsafePointer<CChar>, flags: CInt) throws(Errno) {
    _ = try uninterrupted { unlinkat(raw, name, flags) }
  }

  func rename(
    _ name: UnsafePointer<CChar>, to directory: any Descriptor, _ other: UnsafePointer<CChar>
  ) throws(Errno) {
    let directory = try Self.ofKernel(directory)
    _ = try uninterrupted { renameat(raw, name, directory.raw, other) }
  }

  func setModified(_ nanoseconds: Int64, of name: UnsafePointer<CChar>) throws(Errno) {
    _ = try uninterrupted { utimensat(raw, name, Self.times(nanoseconds), AT_SYMLINK_NOFOLLOW) }
  }

  // MARK: The content

  func status() throws(Errno) -> stat {
    var status = stat()
    _ = try uninterrupted { fstat(raw, &status) }
    return status
  }

  func filesystemMagic() throws(Errno) -> UInt32 {
    var filesystem = statfs()
    _ = try uninterrupted { s3m_fstatfs(raw, &filesystem) }
    return UInt32(truncatingIfNeeded: filesystem.f_type)
  }

  func freeSpace() throws(Errno) -> Int64? {
    var filesystem = statvfs()
    _ = try uninterrupted { fstatvfs(raw, &filesystem) }
    if filesystem.f_blocks == 0 { return nil }
    let (bytes, overflow) = UInt64(filesystem.f_bavail).multipliedReportingOverflow(
      by: UInt64(filesystem.f_frsize))
    return overflow ? .max : Int64(clamping: bytes)
  }

  func readOnce(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    try uninterrupted { pread(raw, buffer.baseAddress, buffer.count, off_t(offset)) }
  }

  func readCached(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    try uninterrupted { s3m_read_cached(raw, buffer.baseAddress, buffer.count, off_t(offset)) }
  }

  func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Errno) -> Int {
    try uninterrupted { pwrite(raw, bytes.baseAddress, bytes.count, off_t(offset)) }
  }

  func truncate(to byteCount: Int64) throws(Errno) {
    _ = try uninterrupted { ftruncate(raw, off_t(byteCount)) }
  }

  func allocate(_ byteCount: Int64) throws(Errno) {
    _ = try uninterrupted { s3m_allocate(raw, off_t(byteCount)) }
  }

  func synchronize() throws(Errno) {
    _ = try uninterrupted { fdatasync(raw) }
  }

  func setModified(_ nanoseconds: Int64) throws(Errno) {
    _ = try uninterrupted { futimens(raw, Self.times(nanoseconds)) }
  }

  func advise(_ offset: Int64, _ byteCount: Int64, _ advice: CInt) {
    // The call fails only for a bad descriptor, a pipe or a bad advice value. None of these is possible here,
    // and the result has no consequence.
    _ = posix_fadvise(raw, off_t(offset), off_t(byteCount), advice)
  }

  func clone(_ source: any Descriptor) throws(Errno) {
    let source = try Self.ofKernel(source)
    _ = try uninterrupted { s3m_clone_file(raw, source.raw) }
  }

  // MARK: Other processes

  func lock(_ operation: CInt) throws(Errno) {
    _ = try uninterrupted { flock(raw, operation) }
  }

  func setLease(_ kind: CInt) throws(Errno) {
    _ = try uninterrupted { s3m_set_lease(raw, kind) }
  }

  func lease() throws(Errno) -> CInt { try uninterrupted { s3m_get_lease(raw) } }

  func setLeaseSignal(_ signal: CInt) throws(Errno) {
    _ = try uninterrupted { s3m_set_lease_signal(raw, signal) }
  }

  func addWatch(to instance: CInt, _ mask: UInt32) throws(Errno) -> CInt {
    // As in FileWatch: /proc/self is unusable once the process's first thread has ended.
    try uninterrupted { inotify_add_watch(instance, "/proc/thread-self/fd/\(raw)", mask) }
  }

  func hasPriorityEvent() -> Bool {
    var request = pollfd(fd: raw, events: Int16(POLLPRI), revents: 0)
    return poll(&request, 1, 0) < 0 || request.revents != 0
  }

  // MARK: Parts

  /// A file in memory is on another filesystem.
  private static func ofKernel(_ other: any Descriptor) throws(Errno) -> KernelDescriptor {
    guard let other = other as? KernelDescriptor else { throw .improperLink }
    return other
  }

  /// The access time stays.
  private static func times(_ modified: Int64) -> [timespec] {
    [timespec(tv_sec: 0, tv_nsec: S3M_UTIME_OMIT), timespec(nanoseconds: modified)]
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

extension timespec {
  fileprivate init(nanoseconds: Int64) {
    let seconds = nanoseconds >= 0 ? nanoseconds / 1_000_000_000 : (nanoseconds - 999_999_999) / 1_000_000_000
    self.init(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds - seconds * 1_000_000_000))
  }
}
