import CLinux
import Glibc
import Synchronization
import SystemPackage

/// A started program with the default action for SIGPIPE. It runs in this process's group or, as a helper, in
/// a group of its own.
package struct SpawnedProcess: Sendable {
  package let identifier: pid_t

  package enum Ending: Sendable, Hashable, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)
    /// Other code has taken the status: another wait for any child, or an ignored SIGCHLD (waitpid(2),
    /// ECHILD).
    case unknown

    package var description: String {
      switch self {
      case .status(let status): "status \(status)"
      case .signal(let signal): "signal \(signal)"
      case .unknown: "an unknown status"
      }
    }
  }

  /// Starts the program.
  ///
  /// - Parameters:
  ///   - executable: a path.
  ///   - arguments: the first is the program's own name.
  ///   - output: the standard output of a helper. A helper has an empty standard input and no other
  ///     descriptors except standard error. It leads its own process group, so that it can be killed together
  ///     with its child processes. The terminal's signals to this process (SIGINT, SIGHUP) are blocked for
  ///     it, and so are the signals that would stop it: a background group that reads from the terminal then
  ///     gets an error and is not stopped for ever (termios(3), SIGTTIN and SIGTTOU). Without `output` the
  ///     program is an ordinary one: it inherits every descriptor that is not close-on-exec, and no signal is
  ///     blocked.
  /// - Throws: the kernel's error for the executable.
  package init(
    _ executable: String, arguments: [String], environment: [String: String], output: FileDescriptor? = nil
  ) throws(Errno) {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var blocked = sigset_t()
    sigemptyset(&blocked)
    if output != nil { for number in [SIGINT, SIGHUP, SIGTTIN, SIGTTOU] { sigaddset(&blocked, number) } }
    // Ignored signals stay ignored in a new program; handled signals get their default action (execve(2)).
    var defaults = sigset_t()
    sigemptyset(&defaults)
    sigaddset(&defaults, SIGPIPE)
    posix_spawnattr_setsigmask(&attributes, &blocked)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    // 0: the group gets the number of its leader (posix_spawnattr_setpgroup(3)).
    if output != nil { flags |= POSIX_SPAWN_SETPGROUP }
    posix_spawnattr_setflags(&attributes, Int16(flags))

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let output {
      // The order matters: the pipe may have the number of a standard stream that was closed.
      posix_spawn_file_actions_adddup2(&actions, output.rawValue, STDOUT_FILENO)
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
    }

    // SAFETY: the C strings live until they are freed below; posix_spawn copies them before it returns; one
    // thread.
    let argumentPointers = arguments.map { strdup($0) } + [nil]
    let environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
    var identifier: pid_t = 0
    // Within the lock, so that the reaper does not take the child for an orphan before it is recorded.
    let code = Self.unwaited.withLock { unwaited in
      let code = posix_spawn(
        &identifier, executable, &actions, &attributes, argumentPointers, environmentPointers)
      if code == 0 { unwaited.insert(identifier) }
      return code
    }
    guard code == 0 else { throw Errno(rawValue: code) }
    self.identifier = identifier
  }

  /// The children whose status some code of this program will take.
  static let unwaited = Mutex<Set<pid_t>>([])

  /// Blocks the thread until the program has ended. Call it once.
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

  /// How the program has ended; nil while it runs. Do not call it again after the end.
  func endingIfEnded() -> Ending? {
    var status: Int32 = 0
    while true {
      let found = waitpid(identifier, &status, WNOHANG)
      if found == identifier { return Ending(waitStatus: status) }
      if found == 0 { return nil }
      guard errno == EINTR else { return .unknown }
    }
  }

  /// Kills a helper and everything that it has started, at once. Only valid before its status was taken,
  /// because until then the kernel does not reuse its number.
  func killGroup() {
    // ESRCH: all of them have already ended.
    _ = kill(-identifier, SIGKILL)
  }
}

extension SpawnedProcess.Ending {
  /// waitpid(2): the low seven bits are the signal, the next byte is the status.
  fileprivate init(waitStatus status: Int32) {
    let signal = status & 0x7f
    self = signal == 0 ? .status((status >> 8) & 0xff) : .signal(signal)
  }
}
