import Glibc
import MirrorModel
import Synchronization
import SystemPackage

/// A regular file that is open for reading.
///
/// It stays the same file, whatever its name leads to later. Its operations are system calls with explicit
/// offsets, so any thread may call them at any time.
package final class LocalFile: Sendable {
  package let path: RelativePath
  /// The file's version at opening.
  package let stamp: FileStamp
  let descriptor: any Descriptor
  let root: TreeRoot
  /// The number of the file's filesystem, read at the first use. The mutex is locked during a probe, so only
  /// one probe runs at a time.
  private let filesystem = Mutex<UInt32?>(nil)

  init(_ descriptor: any Descriptor, stamp: FileStamp, path: RelativePath, root: TreeRoot) {
    self.descriptor = descriptor
    self.stamp = stamp
    self.path = path
    self.root = root
  }

  /// The current stamp of the opened file (fstat(2)). It shows nothing about the file's name: a replaced file
  /// keeps its stamp except for `changed` and `links`.
  package func currentStamp() throws(TreeError) -> FileStamp {
    try root.attempt(.look, path) { () throws(Errno) in try descriptor.entry().stamp }
  }

  /// Whether nothing was written since the opening. The file may have lost a name: a rename that replaces it
  /// removes one of its links and changes ctime, but leaves size and mtime unchanged. So ctime counts only if
  /// no link is missing.
  package func isContentUnmoved() throws(TreeError) -> Bool {
    let now = try currentStamp()
    return now.size == stamp.size && now.modified == stamp.modified
      && (now.changed == stamp.changed || now.links < stamp.links)
  }

  /// Reads until the buffer is full or the file ends. Returns the number of bytes.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's
  // thread.
  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(TreeError) -> Int {
    try root.attempt(.read, path) { () throws(Errno) in
      try descriptor.read(at: offset, into: buffer)
    }
  }

  /// Fills the buffer only if all bytes are in memory, by preadv2(2) with RWF_NOWAIT, which never waits for a
  /// disk or a server. False if a byte is not in memory, or if the file ends earlier.
  ///
  /// tmpfs does not support RWF_NOWAIT, but its files are in memory, except for swapped pages.
  // SAFETY: the kernel writes only within the caller's buffer, and only during the call, on the caller's
  // thread.
  func readCached(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    do {
      if try stampTestimony() == .notEveryStore {
        return try descriptor.read(at: offset, into: buffer) == buffer.count
      }
      return try descriptor.readCached(at: offset, into: buffer) == buffer.count
    } catch {
      // The blocking read will get the same error and report it.
      return false
    }
  }

  /// Advice to the page cache.
  package enum Advice: Sendable {
    /// The file is read from start to end, so read further ahead.
    case sequential
    /// These bytes will be read soon.
    case willNeed(Range<Int64>)
    /// These bytes were read only to be sent. The advice drops clean pages whichever process uses them, so it
    /// is only for files that the trainer will not read again.
    case dontNeed(Range<Int64>)
  }

  package func advise(_ advice: Advice) {
    let (range, kind): (Range<Int64>, CInt) =
      switch advice {
      case .sequential: (0..<0, POSIX_FADV_SEQUENTIAL)  // Length 0 means to the end.
      case .willNeed(let range): (range, POSIX_FADV_WILLNEED)
      case .dontNeed(let range): (range, POSIX_FADV_DONTNEED)
      }
    descriptor.advise(range.lowerBound, Int64(range.count), kind)
  }

  /// Whether the page at an offset is in the page cache. Also true if the kernel cannot determine it without
  /// a read: some filesystems do not support preadv2(2) with RWF_NOWAIT.
  package func isCached(at offset: Int64) -> Bool {
    var byte: UInt8 = 0
    do {
      // SAFETY: the kernel writes one byte, during the call.
      _ = try withUnsafeMutablePointer(to: &byte) { byte throws(Errno) in
        try descriptor.readCached(at: offset, into: UnsafeMutableRawBufferPointer(start: byte, count: 1))
      }
      return true
    } catch {
      return error != .resourceTemporarilyUnavailable
    }
  }

  /// Whether the page at an offset is in memory, as far as the kernel can determine it.
  package func isInMemory(at offset: Int64) -> Bool {
    var byte: UInt8 = 0
    // SAFETY: the kernel writes one byte, during the call.
    return withUnsafeMutableBytes(of: &byte) { readCached(at: offset, into: $0) }
  }

  /// Whether any process has the file open or mapped for writing now.
  package func probeWriters() -> WriterProbe {
    probeWriters(whileLeased: {})
  }

  /// Takes a read lease and releases it at once. fcntl(2) refuses the lease (EAGAIN) while a writer exists.
  ///
  /// A process that opens the file for writing during the lease waits in open(2) until the release. The
  /// kernel informs the lease's holder by a signal; the default SIGIO would end this process. So F_SETSIG
  /// selects SIGURG before each lease, because the release of a lease resets the signal to SIGIO
  /// (lease_modify in the kernel's fs/locks.c), and no two probes overlap. SIGURG is ignored by default, so
  /// the host program's signal handling stays unchanged; a program with a handler for SIGURG must expect
  /// extra signals. A realtime signal would not work: if its queue is full, the kernel sends SIGIO instead. A
  /// standard signal has no queue.
  ///
  /// - Parameter whileLeased: for tests, which act during the lease.
  func probeWriters(whileLeased: () -> Void) -> WriterProbe {
    filesystem.withLock { probeWriters(filesystem: &$0, whileLeased: whileLeased) }
  }

  private func probeWriters(filesystem: inout UInt32?, whileLeased: () -> Void) -> WriterProbe {
    do {
      let testimony = LeaseTestimony(magic: try magic(known: &filesystem))
      if testimony == .worthless { return .unknown(.notSupported) }
      try descriptor.setLeaseSignal(SIGURG)
      do {
        try descriptor.setLease(CInt(F_RDLCK))
      } catch .resourceTemporarilyUnavailable {
        return .present
      }
      whileLeased()
      // F_GETLEASE returns the type that the lease must become. It is no longer F_RDLCK if a writer waits.
      let isKept = try descriptor.lease() == CInt(F_RDLCK)
      do {
        try descriptor.setLease(CInt(F_UNLCK))
      } catch .resourceTemporarilyUnavailable {
        // There is nothing to release: the kernel revoked the lease after /proc/sys/fs/lease-break-time.
      }
      if !isKept { return .present }
      return testimony == .whole ? .none : .unknown(.notSupported)
    } catch {
      return .unknown(error)
    }
  }

  /// Begins a vigil for writers that come and leave between two probes.
  package func keepVigil(by means: WriterVigil.Means = .closes) -> WriterVigil {
    // An unknown filesystem is none of the few whose stamps are silent. Its leases are not trusted either.
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
}

/// The answer to the question whether a process writes the file.
package enum WriterProbe: Sendable, Hashable {
  /// No process has the file open or mapped for writing.
  case none
  case present
  /// The probe learned nothing. EACCES: the file belongs to another user. EINVAL or ENOTSUP: the filesystem's
  /// leases prove nothing.
  case unknown(Errno)
}
