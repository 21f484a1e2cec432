import CLinux
import Glibc
import LoopThread

/// Detects the end of another process. Its pipes do not show this end, because forked child processes keep
/// them open.
enum ParentWatch {
  /// The time between two checks if the kernel has no pidfd_open(2), or a filter forbids it.
  private static let lookMilliseconds: Int32 = 1000

  /// - Parameter ended: called once, on a separate thread; at once if there is no such process.
  /// - Throws: `ThreadError`.
  static func begin(_ process: pid_t, ended: @escaping @Sendable () -> Void) throws(ThreadError) {
    // Opened before the first request is read, when the number can hardly belong to another process yet.
    let descriptor = s3m_open_process(process)
    let isGone = descriptor < 0 && errno == ESRCH
    try NativeThread(name: "s3m-parent") {
      if !isGone { waitForEnd(of: process, through: descriptor) }
      if descriptor >= 0 { close(descriptor) }
      ended()
    }.detach()
  }

  private static func waitForEnd(of process: pid_t, through descriptor: Int32) {
    guard descriptor >= 0 else {
      // Signal 0 also succeeds for a zombie. But after the parent's end this process has another parent.
      let parent = getppid()
      while kill(process, 0) == 0 || errno != ESRCH, getppid() == parent { poll(nil, 0, lookMilliseconds) }
      return
    }
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while poll(&entry, 1, -1) < 0, errno == EINTR {}
  }
}
