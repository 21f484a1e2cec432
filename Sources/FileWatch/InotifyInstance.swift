import CLinux
import Glibc
import SystemPackage

/// An inotify instance: the system calls of inotify(7), without decisions.
package struct InotifyInstance: ~Copyable {
  package enum Readiness: Sendable {
    case records
    /// The other descriptor became readable.
    case woken
    case timedOut
  }

  private let descriptor: Int32
  /// For tests: a limit of watches for this instance, so that a test needs no sysctl.
  private let maxWatches: Int?

  package init(maxWatches: Int?) throws(WatchError) {
    descriptor = inotify_init1(Int32(O_CLOEXEC | O_NONBLOCK))
    self.maxWatches = maxWatches
    guard descriptor >= 0 else {
      let code = Errno(rawValue: errno)
      if code == .tooManyOpenFiles { throw .instanceLimit(.current()) }
      throw .system(operation: "inotify_init1", path: nil, code)
    }
  }

  deinit {
    close(descriptor)
  }

  /// Watches an open directory, so that no rename can put another directory at the path in the meantime.
  ///
  /// If the directory is already watched, the kernel returns the existing descriptor. The path goes through
  /// /proc/thread-self, because /proc/self is unusable once a process's first thread has ended, as with
  /// dispatchMain().
  package borrowing func watch(_ directory: borrowing OpenDirectory, among known: WatchTable) throws(Errno)
    -> Int32
  {
    let result = inotify_add_watch(
      descriptor, "/proc/thread-self/fd/\(directory.descriptor)", InotifyMask.watched.rawValue)
    guard result >= 0 else { throw Errno(rawValue: errno) }
    if let maxWatches, known.owner(of: result) == nil, known.descriptorCount >= maxWatches {
      unwatch(result)
      throw .noSpace
    }
    return result
  }

  /// Removes a watch. The only expected error is EINVAL: the kernel has already removed the watch together
  /// with its directory.
  package borrowing func unwatch(_ watch: Int32) {
    _ = inotify_rm_watch(descriptor, watch)
  }

  /// Reads whole records without waiting; 0 if there are none.
  // SAFETY: the kernel writes into the caller's buffer during the call only, on the caller's thread.
  package borrowing func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    while true {
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      if count >= 0 { return count }
      let code = Errno(rawValue: errno)
      if code == .wouldBlock { return 0 }
      if code != .interrupted { throw code }
    }
  }

  /// How many bytes wait to be read (FIONREAD).
  package borrowing func pendingBytes() -> Int {
    var count: Int32 = 0
    guard ioctl(descriptor, UInt(FIONREAD), &count) == 0 else { return 0 }
    return Int(count)
  }

  /// Waits for records, or for the other descriptor, up to the timeout; -1 means no timeout (poll(2)).
  package borrowing func wait(
    alsoFor other: Int32 = -1, timeoutMilliseconds: Int32
  ) -> Readiness {
    var descriptors = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: other, events: Int16(POLLIN), revents: 0),
    ]
    let count = poll(&descriptors, 2, timeoutMilliseconds)
    if count == 0 { return .timedOut }
    // A signal's interruption counts as a wake-up: the loop checks its work and waits again.
    return count > 0 && descriptors[0].revents != 0 ? .records : .woken
  }
}
