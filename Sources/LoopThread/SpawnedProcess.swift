import CLinux
import Glibc
import Synchronization
import SystemPackage

/// A program that was started, with SIGPIPE's default: in our process group, or, as a helper, in one of its own.
package struct SpawnedProcess: Sendable {
  package let identifier: pid_t

  package enum Ending: Sendable, Hashable, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)
    /// Somebody else has taken its status: another wait for any child, or an ignored SIGCHLD (waitpid(2), ECHILD).
    case unknown

    package var description: String {
      switch self {
      case .status(let status): "status \(status)"
      case .signal(let signal): "signal \(signal)"
      case .unknown: "an unknown status"
      }
    }
  }

  /// Starts it.
  ///
  /// - Parameters:
  ///   - executable: a path.
  ///   - arguments: the first is the program's own name.
  ///   - output: what the standard output of a helper goes to. Its standard input is empty, it gets no other descriptor but
  ///     standard error, and it leads a process group of its own, so that it can be ended with all that it starts. What a
  ///     terminal sends to us (SIGINT, SIGHUP) is blocked for it, and so is what would stop it: a group in the background that
  ///     asks the terminal gets an error then instead of a rest without end (termios(3), SIGTTIN and SIGTTOU). By default it
  ///     is a program like any: it has what we have and is not close-on-exec, and no signal is blocked.
  /// - Throws: what the kernel says of the executable.
  package init(
    _ executable: String, arguments: [String], environment: [String: String], output: FileDescriptor? = nil
  ) throws(Errno) {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var blocked = sigset_t()
    sigemptyset(&blocked)
    if output != nil { for number in [SIGINT, SIGHUP, SIGTTIN, SIGTTOU] { sigaddset(&blocked, number) } }
    // What is ignored stays so in a new program; what has a handler does not (execve(2)).
    var defaults = sigset_t()
    sigemptyset(&defaults)
    sigaddset(&defaults, SIGPIPE)
    posix_spawnattr_setsigmask(&attributes, &blocked)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    // The group has the number of its leader (posix_spawnattr_setpgroup(3), 0).
    if output != nil { flags |= POSIX_SPAWN_SETPGROUP }
    posix_spawnattr_setflags(&attributes, Int16(flags))

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let output {
      // In this order: the pipe may have the number of a standard stream that was closed.
      posix_spawn_file_actions_adddup2(&actions, output.rawValue, STDOUT_FILENO)
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
    }

    // SAFETY: the C strings live until they are freed below; posix_spawn copies them before it returns; one thread.
    let argumentPointers = arguments.map { strdup($0) } + [nil]
    let environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
    var identifier: pid_t = 0
    // Within the lock: who looks for orphans must not take the child for one before it is known.
    let code = Self.unwaited.withLock { unwaited in
      let code = posix_spawn(
        &identifier, executable, &actions, &attributes, argumentPointers, environmentPointers)
      if code == 0 { unwaited.insert(identifier) }
      return code
    }
    guard code == 0 else { throw Errno(rawValue: code) }
    self.identifier = identifier
  }

  /// The children whose status somebody here will ask for.
  static let unwaited = Mutex<Set<pid_t>>([])

  /// Blocks the thread until it has ended; to be called once.
  package func wait() -> Ending {
    defer {
      Self.unwaited.withLock { _ = $0.remove(identifier) }
      OrphanReaper.look()
    }
    var status: Int32 = 0
    while waitpid(identifier, &status, 0) < 0 {
      guard errno == EINTR else { return .unknown }
    }
    return Ending(waitStatus: status)
  }

  /// How it has ended, nil while it runs. Not to be called again once it has ended.
  func endingIfEnded() -> Ending? {
    var status: Int32 = 0
    while true {
      let found = waitpid(identifier, &status, WNOHANG)
      if found == identifier { return Ending(waitStatus: status) }
      if found == 0 { return nil }
      guard errno == EINTR else { return .unknown }
    }
  }

  /// Ends a helper and what it has started, at once. Only before its status was taken: the number is its own until then.
  func killGroup() {
    // ESRCH: all of them have ended by themselves.
    _ = kill(-identifier, SIGKILL)
  }
}

extension SpawnedProcess.Ending {
  /// waitpid(2): the low seven bits are the signal, the next byte the status.
  fileprivate init(waitStatus status: Int32) {
    let signal = status & 0x7f
    self = signal == 0 ? .status((status >> 8) & 0xff) : .signal(signal)
  }
}
