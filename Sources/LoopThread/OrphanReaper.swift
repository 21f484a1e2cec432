import CLinux
import Glibc
import Synchronization
import SystemPackage

/// Takes the status of orphans. If this process is the first one of a container, the kernel gives it every
/// process whose parent has ended. Without a wait, such a process stays as a zombie (pid_namespaces(7),
/// wait(2)).
///
/// The status of a child that `SpawnedProcess` started is left to the code that waits for it.
package enum OrphanReaper {
  /// The descriptor that requests a check; nil before the start.
  private static let bell = Mutex<FileDescriptor?>(nil)

  /// Starts the thread, if orphans come to this process at all.
  ///
  /// - Throws: `Errno` or `ThreadError` if the system has no pipe or no thread available.
  package static func startIfNeeded() throws {
    if s3m_inherits_orphans() != 0 { try start() }
  }

  static func start() throws {
    let pipe = try FileDescriptor.privatePipe()
    let isFirst = bell.withLock { bell in
      if bell != nil { return false }
      bell = pipe.writer
      return true
    }
    guard isFirst else { return }
    // A signal handler must not wait. A full pipe requests a check as well.
    _ = fcntl(pipe.writer.rawValue, F_SETFL, O_NONBLOCK)
    try NativeThread(name: "s3m-reaper") {
      // Both ends stay open, so a failed read means that the thread has to end.
      while case .success = Result(catching: { try pipe.reader.read(upTo: 4096) }) { reap() }
    }.detach()
    guard s3m_forward_child_signal(pipe.writer.rawValue) == 0 else {
      preconditionFailure("sigaction refuses SIGCHLD, which every Linux has")
    }
    // A first check for processes that ended earlier.
    look()
  }

  /// Requests a further check. A child of this process hides the orphans that ended after it until its own
  /// status is taken.
  static func look() {
    bell.withLock { bell in
      // A full pipe requests a check as well.
      if let bell { _ = Glibc.write(bell.rawValue, [1], 1) }
    }
  }

  private static func reap() {
    while case let child = s3m_ended_child(), child > 0 {
      if SpawnedProcess.unwaited.withLock({ $0.contains(child) }) { return }
      // The process stays a zombie until then, so its number is not reused.
      waitpid(child, nil, WNOHANG)
    }
  }
}
