import CLinux
import Glibc
import Synchronization
import SystemPackage

/// Takes the status of children that are nobody's: where this process is the first of a container, the kernel gives it every
/// process whose parent has ended, and what nobody waits for stays as a zombie (pid_namespaces(7), wait(2)).
///
/// A child that `SpawnedProcess` started is left to whoever waits for it.
package enum OrphanReaper {
  /// Where a look is asked for; nil while nobody looks.
  private static let bell = Mutex<FileDescriptor?>(nil)

  /// Begins to look, if orphans come to this process at all.
  ///
  /// - Throws: `Errno` or `ThreadError` where the system has no pipe or no thread to give.
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
    // A handler must not wait: a full pipe asks for a look as well.
    _ = fcntl(pipe.writer.rawValue, F_SETFL, O_NONBLOCK)
    try NativeThread(name: "s3m-reaper") {
      // Both ends stay open, so that a read that fails is the end of it.
      while case .success = Result(catching: { try pipe.reader.read(upTo: 4096) }) { reap() }
    }.detach()
    guard s3m_forward_child_signal(pipe.writer.rawValue) == 0 else {
      preconditionFailure("sigaction refuses SIGCHLD, which every Linux has")
    }
    // For those that ended before.
    look()
  }

  /// Has it look once more: a child of ours hides the orphans that ended after it until its own status is taken.
  static func look() {
    bell.withLock { bell in
      // A full pipe asks for a look as well.
      if let bell { _ = Glibc.write(bell.rawValue, [1], 1) }
    }
  }

  private static func reap() {
    while case let child = s3m_ended_child(), child > 0 {
      if SpawnedProcess.unwaited.withLock({ $0.contains(child) }) { return }
      // It stays a zombie until then, so the number is its own.
      waitpid(child, nil, WNOHANG)
    }
  }
}
