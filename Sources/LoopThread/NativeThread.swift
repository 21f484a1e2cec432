import CLinux
import Glibc

/// A POSIX thread with a name, in which signals are blocked.
///
/// Signals to the process go to its other threads. SIGPIPE, which a write to a closed socket raises in the
/// writing thread (OpenSSL offers no way to avoid it), stays pending here and does not end the process. A
/// child process would inherit the mask, so `SpawnedProcess` sets another.
package struct NativeThread: Sendable {
  private let handle: pthread_t

  /// - Parameter name: shown by ps(1) and top(1). prctl(2) keeps 15 bytes.
  package init(
    name: String, priority: ThreadPriority = .normal, body: @escaping @Sendable () -> Void
  ) throws(ThreadError) {
    let start = Start(name: name, priority: priority, body: body)
    // A thread inherits its creator's mask (pthread_sigmask(3)), so no signal can arrive before the mask is
    // set.
    var blocked = Self.blockedSignals()
    var previous = sigset_t()
    pthread_sigmask(SIG_SETMASK, &blocked, &previous)
    defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }

    // SAFETY: the reference is released here and taken back once: by the new thread or, if there is none,
    // below.
    let context = Unmanaged.passRetained(start)
    var handle = pthread_t()
    let code = pthread_create(
      &handle, nil,
      { context in
        guard let context else { return nil }
        let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
        // If the name is rejected, it is only not shown.
        _ = s3m_set_thread_name(start.name)
        // If the priority is rejected, the thread still works.
        if start.priority == .low { _ = s3m_lower_priority(ThreadPriority.lowNiceness) }
        start.body()
        return nil
      }, context.toOpaque())
    guard code == 0 else {
      context.release()
      throw ThreadError(operation: "starting the thread “\(name)”", code: code)
    }
    self.handle = handle
  }

  /// Waits for the thread's end. Call either this or `detach`, once.
  package func join() {
    let code = pthread_join(handle, nil)
    precondition(code == 0, "pthread_join(3) failed with \(code)")
  }

  /// Lets the thread run on. No code waits for its end.
  package func detach() {
    pthread_detach(handle)
  }

  private final class Start: Sendable {
    let name: String
    let priority: ThreadPriority
    let body: @Sendable () -> Void

    init(name: String, priority: ThreadPriority, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.priority = priority
      self.body = body
    }
  }

  /// All signals except those that report a fault of the thread itself, because blocking these is undefined
  /// (sigprocmask(2)).
  private static func blockedSignals() -> sigset_t {
    var signals = sigset_t()
    sigfillset(&signals)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { sigdelset(&signals, fault) }
    return signals
  }
}

/// The priority of a thread on the machine.
package enum ThreadPriority: Sendable, Hashable {
  case normal
  /// Lower than other threads, for processor and disk.
  case low

  /// sched(7): with nice value 10 a thread gets about a tenth of the time of a thread with 0 if both need the
  /// processor.
  package static let lowNiceness: Int32 = 10
}

/// The system refused a thread or an event descriptor.
package struct ThreadError: Error, Sendable, CustomStringConvertible {
  package var operation: String
  /// As in errno(3).
  package var code: Int32

  package init(operation: String, code: Int32) {
    self.operation = operation
    self.code = code
  }

  package var description: String {
    "\(operation): \(String(cString: strerror(code)))\(remedy)"
  }

  private var remedy: String {
    switch code {
    case EAGAIN: "; raise the process limit (ulimit -u) or the control group's pids.max"
    case EMFILE: "; raise the limit of open files (ulimit -n)"
    case ENFILE: "; raise the system's limit of open files (sysctl fs.file-max)"
    default: ""
    }
  }
}
