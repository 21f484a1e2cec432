import Glibc
import LocalTree
import MirrorModel
import SystemPackage

/// A file that is open for writing, and is not when `close()` returns.
///
/// A descriptor that is closed here may still be open elsewhere. A child that another test starts has a copy of each
/// descriptor until it executes its program. A descriptor without O_CLOEXEC, as Foundation opens it, may stay open in the
/// child for all its life: Foundation closes there what was open when it began to start the child. Then the kernel
/// rightly says that a process has the file open for writing. So `close()` waits until a read lease shows that none has.
package final class SoleWriter {
  private let path: String
  private var descriptor: Int32?
  /// Another writer was there before: the test's own, which may stay.
  private let isShared: Bool

  /// - Parameter flags: those of open(2); `O_WRONLY` if they name no access mode.
  package init(_ path: String, _ flags: Int32 = 0) throws(Errno) {
    self.path = path
    isShared = Self.isOpenForWriting(path)
    let access = flags & O_ACCMODE == 0 ? O_WRONLY : 0
    let descriptor = open(path, flags | access | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    self.descriptor = descriptor
  }

  deinit {
    if let descriptor { Glibc.close(descriptor) }
  }

  /// Writes all bytes.
  ///
  /// - Parameter offset: where; the descriptor's place if nil.
  package func write(_ bytes: [UInt8], at offset: Int? = nil) throws(Errno) {
    try use { descriptor in
      if let offset { return pwrite(descriptor, bytes, bytes.count, off_t(offset)) }
      return Glibc.write(descriptor, bytes, bytes.count)
    }
  }

  package func synchronize() throws(Errno) { try use { Int(fsync($0)) } }

  /// What `body` does with the descriptor; a negative result fails.
  package func use(_ body: (Int32) -> Int) throws(Errno) {
    guard let descriptor else { throw .badFileDescriptor }
    if body(descriptor) < 0 { throw Errno(rawValue: errno) }
  }

  /// - Throws: `Errno.textFileBusy` if a process still has the file open after `patience`.
  package func close() throws(Errno) {
    guard let descriptor else { return }
    self.descriptor = nil
    Glibc.close(descriptor)
    if isShared { return }
    let end = ContinuousClock.now + patience
    while Self.isOpenForWriting(path) {
      guard ContinuousClock.now < end else { throw .textFileBusy }
      sched_yield()
    }
  }

  /// A file that has no name any more is taken for closed.
  private static func isOpenForWriting(_ path: String) -> Bool {
    let path = FilePath(path)
    guard let name = path.lastComponent,
      let file = try? TreeRoot(path: path.removingLastComponent()).open(RelativePath(name.string))
    else { return false }
    return file.probeWriters() == .present
  }
}
