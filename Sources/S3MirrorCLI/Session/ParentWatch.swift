import CLinux
import Glibc
import LoopThread

/// Notices the end of another process. Its pipes do not show that end, because forked children keep them open.
enum ParentWatch {
  /// From look to look where the kernel has no pidfd_open(2), or a filter forbids it.
  private static let lookMilliseconds: Int32 = 1000

  /// - Parameter ended: called once, from a thread of its own; at once if there is no such process.
  /// - Throws: `ThreadError`.
  static func begin(_ process: pid_t, ended: @escaping @Sendable () -> Void) throws(ThreadError) {
    // Opened before the first request is read: until then the number cannot have become another process's, or nearly so.
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
      // A zombie can be sent signal 0, and has other children's parent by then.
      let parent = getppid()
      while kill(process, 0) == 0 || errno != ESRCH, getppid() == parent { poll(nil, 0, lookMilliseconds) }
      return
    }
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while poll(&entry, 1, -1) < 0, errno == EINTR {}
  }
}
