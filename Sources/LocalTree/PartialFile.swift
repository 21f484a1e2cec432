import CLinux
import Glibc
import MirrorModel
import Synchronization
import SystemPackage

/// A download on its way: a temporary file beside its target, renamed over it when it is whole.
///
/// Nobody sees half a file under the target's name, and the directory is the target's own, so the rename stays within
/// one filesystem. The file is locked (flock(2)) while it is open: a second process that downloads to the same target
/// is refused instead of mixing its bytes in. An abandoned file stays, to be resumed or begun anew, under
/// a name that every walk excludes.
///
/// A progress record may be kept behind the content, past `byteCount`: it lives and dies with the bytes it speaks of,
/// and publication cuts it off. It tells what a killed process had written; after a power failure the record may
/// be on disk and the bytes not, so a resumed download proves the whole file by its checksum.
package final class PartialFile: Sendable {
  /// What to do with bytes that an earlier attempt left.
  package enum Beginning: Sendable {
    case fresh
    case resume
  }

  /// When the content must be on disk.
  package enum Durability: Sendable {
    /// Before the target's name leads to it (fdatasync(2)). Else a power failure can leave a file of the right size and
    /// mtime, which a later comparison believes, with zeros in it.
    case synced
    /// When the kernel writes it back: for trees that are fetched again after a crash.
    case cached
  }

  package let target: RelativePath
  /// The size of the whole file.
  package let byteCount: Int64
  /// The record an earlier attempt left; nil when the file is begun anew.
  package let progress: [UInt8]?

  private let root: TreeRoot
  private let directory: OpenDescriptor
  private let name: String
  private let descriptor: OpenDescriptor
  private let isEnded = Atomic(false)
  /// Whether something lies behind the content.
  private let hasRecord: Atomic<Bool>

  /// Makes the target's directories and the temporary file, and reserves its space.
  package init(
    root: TreeRoot, target: RelativePath, byteCount: Int64, beginning: Beginning = .fresh
  ) throws(TreeError) {
    self.root = root
    self.target = target
    self.byteCount = byteCount
    let name = Self.name(for: target)
    self.name = name
    try root.attempt(.createPartial, target) { () throws(Errno) in try root.check(target) }
    directory = try root.openMakingDirectories(target.parent)
    do {
      descriptor = try Self.openLocked(name, in: directory)
      var found: [UInt8]?
      if beginning == .resume { found = try ProgressRecord.read(from: descriptor, at: byteCount) }
      progress = found
      hasRecord = Atomic(found != nil)
      if found == nil, try descriptor.status().stamp.size > 0 {
        _ = try uninterrupted { ftruncate(descriptor.raw, 0) }
      }
    } catch {
      let inUse = error == .wouldBlock
      throw root.failure(.createPartial, target, error, inUse ? .inUse : nil)
    }
    do {
      try reserve()
    } catch {
      if progress == nil { try discard() }
      throw error
    }
  }

  /// Writes all the bytes at an offset of the content. Any task may write its own range.
  // SAFETY: the kernel reads the caller's bytes during the call only, on the caller's thread.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(TreeError) {
    precondition(!isEnded.load(ordering: .acquiring), "write after the end of a download")
    precondition(offset >= 0 && Int64(bytes.count) <= byteCount - offset, "write past the file's end")
    try root.attempt(.write, target) { () throws(Errno) in try descriptor.write(bytes, at: offset) }
  }

  /// The same, of bytes in an array.
  package func write(_ bytes: [UInt8], at offset: Int64) throws(TreeError) {
    try bytes.withUnsafeBufferPointer { bytes throws(TreeError) in
      try write(UnsafeRawBufferPointer(bytes), at: offset)
    }
  }

  /// Reads back bytes of the content until the buffer is full, and returns how many there are.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's thread.
  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(TreeError) -> Int {
    precondition(offset >= 0 && Int64(buffer.count) <= byteCount - offset, "read past the file's end")
    return try root.attempt(.read, target) { () throws(Errno) in
      try descriptor.read(at: offset, into: buffer)
    }
  }

  /// Leaves word for a later attempt of what is written by now; it replaces the record before.
  package func record(progress: [UInt8]) throws(TreeError) {
    precondition(!isEnded.load(ordering: .acquiring), "record after the end of a download")
    hasRecord.store(true, ordering: .releasing)
    try root.attempt(.write, target) { () throws(Errno) in
      try ProgressRecord.write(progress, to: descriptor, at: byteCount)
    }
  }

  /// Gives the file its target's name.
  ///
  /// Its mode is 0666 less the umask, as open(2) made it. Only a regular file is replaced: a directory is a conflict
  /// that deleting would not solve, and a symbolic link or device was put there by somebody.
  ///
  /// - Parameter modified: the mtime to set, nanoseconds since 1970.
  package func publish(modified: Int64, durability: Durability = .synced) throws(TreeError) {
    let (isOurs, present) = try root.attempt(.publish, target) { () throws(Errno) in
      (try isStillOurs(), try presentTarget())
    }
    if !isOurs { throw root.failure(.publish, target, .staleNFSFileHandle, .replaced) }
    if let kind = present?.kind, kind != .file {
      let cause = kind == .directory ? Errno.isDirectory : .fileExists
      throw root.failure(.publish, target, cause, .notRegular(kind))
    }
    isEnded.store(true, ordering: .releasing)
    try root.attempt(.publish, target) { () throws(Errno) in
      if hasRecord.load(ordering: .acquiring) {
        _ = try uninterrupted { ftruncate(descriptor.raw, off_t(byteCount)) }
      }
      // Access time, which stays; modification time.
      let times = [timespec(tv_sec: 0, tv_nsec: S3M_UTIME_OMIT), timespec(nanoseconds: modified)]
      _ = try uninterrupted { futimens(descriptor.raw, times) }
      if durability == .synced { _ = try uninterrupted { fdatasync(descriptor.raw) } }
      _ = try uninterrupted { renameat(directory.raw, name, directory.raw, String(target.name)) }
    }
  }

  /// Leaves the file to whoever goes on with it. Not left to the last reference: a thread may keep that a moment longer.
  package func release() {
    isEnded.store(true, ordering: .releasing)
    Self.unlock(descriptor)
  }

  /// Removes the file. Without this call it stays for a later attempt.
  package func discard() throws(TreeError) {
    isEnded.store(true, ordering: .releasing)
    try root.attempt(.remove, target) { () throws(Errno) in
      if try isStillOurs() { _ = try uninterrupted { unlinkat(directory.raw, name, 0) } }
    }
  }

  /// 256 KiB: what is smaller meets a full disk at its one write, as early as it would here.
  private static let smallestReserved: Int64 = 256 << 10

  private func reserve() throws(TreeError) {
    guard byteCount >= Self.smallestReserved else { return }
    let (needed, free) = try root.attempt(.createPartial, target) { () throws(Errno) in
      (max(0, byteCount - (try descriptor.allocatedBytes())), try Self.freeSpace(at: directory))
    }
    if let free, free < needed {
      throw root.failure(.createPartial, target, .noSpace, .diskFull(needed: needed, free: free))
    }
    try root.attempt(.createPartial, target) { () throws(Errno) in
      try Self.allocate(byteCount, in: descriptor)
    }
  }

  private func isStillOurs() throws(Errno) -> Bool {
    try Self.isName(name, of: descriptor, in: directory)
  }

  private func presentTarget() throws(Errno) -> TreeRoot.Entry? {
    do {
      return try directory.status(of: String(target.name))
    } catch .noSuchFileOrDirectory {
      return nil
    }
  }

  /// The temporary name: 31 bytes, whatever the target's name is, which may use all 255 that a name can have.
  package static func name(for target: RelativePath) -> String {
    let hash = String(fnv1a(target.name.utf8), radix: 16)
    let digits = String(repeating: "0", count: 16 - hash.utf8.count) + hash
    return PathFilter.partialPrefix + digits + PathFilter.partialSuffix
  }
}
