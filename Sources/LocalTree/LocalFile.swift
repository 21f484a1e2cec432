import CLinux
import Glibc
import MirrorModel
import Synchronization
import SystemPackage

/// A regular file, open for reading.
///
/// It stays the file that was opened, whatever its name leads to later. Its operations are system calls that carry
/// their own offset, so any thread may make them at any time.
package final class LocalFile: Sendable {
  package let path: RelativePath
  /// The file's version at opening.
  package let stamp: FileStamp
  let descriptor: OpenDescriptor
  let root: TreeRoot
  /// The number of the file's filesystem, learnt when it is first asked for. Held over a probe: one at a time.
  private let filesystem = Mutex<UInt32?>(nil)

  init(_ descriptor: OpenDescriptor, stamp: FileStamp, path: RelativePath, root: TreeRoot) {
    self.descriptor = descriptor
    self.stamp = stamp
    self.path = path
    self.root = root
  }

  /// The version of the opened file now (fstat(2)). It says nothing of its name: a replaced file keeps its stamp but
  /// for `changed` and `links`.
  package func currentStamp() throws(TreeError) -> FileStamp {
    try root.attempt(.look, path) { () throws(Errno) in try descriptor.status().stamp }
  }

  /// Whether nothing was written since the opening, though the file may have lost a name: a rename that replaces it takes one
  /// of its links and moves ctime, and leaves size and mtime alone. So ctime counts as long as no link is missing.
  package func isContentUnmoved() throws(TreeError) -> Bool {
    let now = try currentStamp()
    return now.size == stamp.size && now.modified == stamp.modified
      && (now.changed == stamp.changed || now.links < stamp.links)
  }

  /// Reads until the buffer is full or the file ends, and returns the number of bytes read.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's thread.
  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(TreeError) -> Int {
    try root.attempt(.read, path) { () throws(Errno) in
      try descriptor.read(at: offset, into: buffer)
    }
  }

  /// Reads what fills the buffer only if it is in memory: preadv2(2) with RWF_NOWAIT, which never waits for a disk or a server.
  /// False when a byte of it is not, or when the file ends before.
  ///
  /// tmpfs does not know RWF_NOWAIT, and all that it has is in memory, but for what was swapped out.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's thread.
  func readCached(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    do {
      if try stampTestimony() == .notEveryStore {
        return try descriptor.read(at: offset, into: buffer) == buffer.count
      }
    } catch {
      // The read that may wait meets it again, and says so.
      return false
    }
    return s3m_read_cached(descriptor.raw, buffer.baseAddress, buffer.count, off_t(offset)) == buffer.count
  }

  /// What the page cache should do.
  package enum Advice: Sendable {
    /// The file is read from start to end: read further ahead.
    case sequential
    /// These bytes are read soon.
    case willNeed(Range<Int64>)
    /// These bytes were read only to be sent. It drops clean pages whoever had them in the cache, so it is for files
    /// that the trainer will not read again.
    case dontNeed(Range<Int64>)
  }

  package func advise(_ advice: Advice) {
    // posix_fadvise(2) returns an error only for a bad descriptor, pipe or advice value. None can be here, and nothing
    // would depend on it.
    let (range, kind): (Range<Int64>, CInt) =
      switch advice {
      case .sequential: (0..<0, POSIX_FADV_SEQUENTIAL)  // Length 0 means to the end.
      case .willNeed(let range): (range, POSIX_FADV_WILLNEED)
      case .dontNeed(let range): (range, POSIX_FADV_DONTNEED)
      }
    _ = posix_fadvise(descriptor.raw, off_t(range.lowerBound), off_t(range.count), kind)
  }

  /// Whether the page at an offset is in the page cache. True as well where the kernel cannot tell without reading it:
  /// preadv2(2) with RWF_NOWAIT, which some filesystems do not know.
  package func isCached(at offset: Int64) -> Bool {
    var byte: UInt8 = 0
    // SAFETY: the kernel writes one byte, during the call.
    return withUnsafeMutableBytes(of: &byte) { buffer in
      s3m_read_cached(descriptor.raw, buffer.baseAddress, 1, off_t(offset)) != -1 || errno != EAGAIN
    }
  }

  /// Whether anybody has the file open or mapped for writing at this moment.
  package func probeWriters() -> WriterProbe {
    probeWriters(whileLeased: {})
  }

  /// Takes a read lease and releases it at once: fcntl(2) refuses it (EAGAIN) while a writer is there.
  ///
  /// A process that opens the file for writing in that instant waits in open(2) until the release; the kernel
  /// announces it to the lease's holder by a signal, SIGIO unless told otherwise, which would end this process.
  /// F_SETSIG therefore names SIGURG before each lease is asked for, since the release of one makes it SIGIO again
  /// (lease_modify in the kernel's fs/locks.c), and no two probes overlap. SIGURG is ignored by default, so no
  /// disposition of the host program is touched, and a handler of its own must expect stray ones. A realtime signal
  /// would not do: when its queue is full the kernel falls back on SIGIO; a standard signal has no queue.
  ///
  /// - Parameter whileLeased: for tests, which need to act in that instant.
  func probeWriters(whileLeased: () -> Void) -> WriterProbe {
    filesystem.withLock { probeWriters(filesystem: &$0, whileLeased: whileLeased) }
  }

  private func probeWriters(filesystem: inout UInt32?, whileLeased: () -> Void) -> WriterProbe {
    do {
      let testimony = LeaseTestimony(magic: try magic(known: &filesystem))
      if testimony == .worthless { return .unknown(.notSupported) }
      _ = try uninterrupted { s3m_set_lease_signal(descriptor.raw, SIGURG) }
      do {
        _ = try uninterrupted { s3m_set_lease(descriptor.raw, CInt(F_RDLCK)) }
      } catch .resourceTemporarilyUnavailable {
        return .present
      }
      whileLeased()
      // F_GETLEASE tells what the lease must become: no longer F_RDLCK when a writer is waiting for it.
      let isKept = try leaseKind() == CInt(F_RDLCK)
      do {
        _ = try uninterrupted { s3m_set_lease(descriptor.raw, CInt(F_UNLCK)) }
      } catch .resourceTemporarilyUnavailable {
        // Nothing to release: the kernel took it back after /proc/sys/fs/lease-break-time.
      }
      if !isKept { return .present }
      return testimony == .whole ? .none : .unknown(.notSupported)
    } catch {
      return .unknown(error)
    }
  }

  /// Begins to look out for writers who come and go between two probes.
  package func keepVigil(by means: WriterVigil.Means = .closes) -> WriterVigil {
    // A filesystem that cannot be named is none of the few whose stamps are silent; its leases are not believed either.
    let testimony: StampTestimony
    do { testimony = try stampTestimony() } catch { testimony = .everyStore }
    return WriterVigil(of: self, by: means, root.closeWatch, stamps: testimony)
  }

  /// What the file's stamp says of later writes.
  package var stampKeeping: StampedReading.Keeping {
    do throws(Errno) {
      return try filesystem.withLock { (known) throws(Errno) in
        StampedReading.Keeping(magic: try magic(known: &known))
      }
    } catch {
      // A filesystem that cannot be named promises nothing.
      return .none
    }
  }

  private func stampTestimony() throws(Errno) -> StampTestimony {
    try filesystem.withLock { (known) throws(Errno) in StampTestimony(magic: try magic(known: &known)) }
  }

  private func magic(known: inout UInt32?) throws(Errno) -> UInt32 {
    if let known { return known }
    let magic = try descriptor.filesystemMagic()
    known = magic
    return magic
  }

  func leaseKind() throws(Errno) -> CInt { try uninterrupted { s3m_get_lease(descriptor.raw) } }
}

/// The answer to "is somebody writing?".
package enum WriterProbe: Sendable, Hashable {
  /// Nobody has the file open or mapped for writing.
  case none
  case present
  /// Nothing was learnt: EACCES, the file is another user's; EINVAL or ENOTSUP, the filesystem's leases do not tell.
  case unknown(Errno)
}
