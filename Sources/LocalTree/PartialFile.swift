import MirrorModel
import Synchronization
import SystemPackage

/// An unfinished download: a temporary file beside its target, which replaces the target by a rename when it
/// is complete.
///
/// No reader sees an incomplete file under the target's name. The temporary file is in the target's own
/// directory, so the rename stays within one filesystem. The file is locked (flock(2)) while it is open: a
/// second process that downloads to the same target is refused, and cannot mix its bytes in. An abandoned
/// file stays under a name that every walk excludes, to be resumed or started again.
///
/// A progress record may be stored behind the content, past `byteCount`. It exists only together with the
/// bytes that it describes, and publication truncates it. It shows what a killed process had written. After a
/// power failure the record may be on disk without the bytes, so a resumed download verifies the whole file
/// by its checksum.
package final class PartialFile: Sendable {
  /// What to do with the bytes of an earlier attempt.
  package enum Beginning: Sendable {
    case fresh
    case resume
  }

  /// When the content must be on disk.
  package enum Durability: Sendable {
    /// Before the rename to the target's name (fdatasync(2)). Otherwise a power failure can leave a file of
    /// zeros with the right size and mtime, which a later comparison would accept.
    case synced
    /// When the kernel writes it back. For trees that are fetched again after a crash.
    case cached
  }

  package let target: RelativePath
  /// The size of the whole file.
  package let byteCount: Int64
  /// The record of an earlier attempt; nil for a new file.
  package let progress: [UInt8]?

  private let root: TreeRoot
  private let directory: any Descriptor
  private let name: String
  private let descriptor: any Descriptor
  private let isEnded = Atomic(false)
  /// Whether a record is stored behind the content.
  private let hasRecord: Atomic<Bool>

  /// Creates the target's directories and the temporary file, and reserves the disk space.
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
      if found == nil, try descriptor.entry().stamp.size > 0 {
        try descriptor.truncate(to: 0)
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

  /// Writes bytes at an offset of the content. Each task may write its own range.
  // SAFETY: the kernel reads the caller's bytes only during the call, on the caller's thread.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(TreeError) {
    precondition(!isEnded.load(ordering: .acquiring), "write after the end of a download")
    precondition(offset >= 0 && Int64(bytes.count) <= byteCount - offset, "write past the file's end")
    try root.attempt(.write, target) { () throws(Errno) in try descriptor.write(bytes, at: offset) }
  }

  /// The same for bytes in an array.
  package func write(_ bytes: [UInt8], at offset: Int64) throws(TreeError) {
    try bytes.withUnsafeBufferPointer { bytes throws(TreeError) in
      try write(UnsafeRawBufferPointer(bytes), at: offset)
    }
  }

  /// Reads bytes of the content until the buffer is full. Returns the number of bytes.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's
  // thread.
  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(TreeError) -> Int {
    precondition(offset >= 0 && Int64(buffer.count) <= byteCount - offset, "read past the file's end")
    return try root.attempt(.read, target) { () throws(Errno) in
      try descriptor.read(at: offset, into: buffer)
    }
  }

  /// Stores a progress record for a later attempt, in place of the one before.
  package func record(progress: [UInt8]) throws(TreeError) {
    precondition(!isEnded.load(ordering: .acquiring), "record after the end of a download")
    hasRecord.store(true, ordering: .releasing)
    try root.attempt(.write, target) { () throws(Errno) in
      try ProgressRecord.write(progress, to: descriptor, at: byteCount)
    }
  }

  /// Renames the file to its target.
  ///
  /// Its mode is 0666 minus the umask, as open(2) set it. Only a regular file is replaced. A directory is a
  /// conflict that a deletion would not solve, and a symbolic link or device was created by a user for some
  /// purpose.
  ///
  /// - Parameter modified: the mtime to set, in nanoseconds since 1970.
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
        try descriptor.truncate(to: byteCount)
      }
      try descriptor.setModified(modified)
      if durability == .synced { try descriptor.synchronize() }
      try directory.rename(name, to: directory, String(target.name))
    }
  }

  /// Releases the file for a later attempt. The last reference would come too late, because a thread may keep
  /// one a moment longer.
  package func release() {
    isEnded.store(true, ordering: .releasing)
    Self.unlock(descriptor)
  }

  /// Removes the file. Without this call the file stays for a later attempt.
  package func discard() throws(TreeError) {
    isEnded.store(true, ordering: .releasing)
    try root.attempt(.remove, target) { () throws(Errno) in
      if try isStillOurs() { try directory.unlink(name, flags: 0) }
    }
  }

  /// 256 KiB: a smaller file needs one write, which detects a full disk as early as a reservation would.
  private static let smallestReserved: Int64 = 256 << 10

  private func reserve() throws(TreeError) {
    guard byteCount >= Self.smallestReserved else { return }
    let (needed, free) = try root.attempt(.createPartial, target) { () throws(Errno) in
      (max(0, byteCount - (try descriptor.allocatedBytes())), try directory.freeSpace())
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
      return try directory.entry(String(target.name))
    } catch .noSuchFileOrDirectory {
      return nil
    }
  }

  /// The temporary name has 31 bytes. The target's own name may use all 255 bytes of a name, so it cannot be
  /// part of the temporary name.
  package static func name(for target: RelativePath) -> String {
    let hash = String(fnv1a(target.name.utf8), radix: 16)
    let digits = String(repeating: "0", count: 16 - hash.utf8.count) + hash
    return PathFilter.partialPrefix + digits + PathFilter.partialSuffix
  }
}
