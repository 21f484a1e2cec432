import Glibc
import SystemPackage

/// A program that was started, in our process group: no signal is blocked for it, and SIGPIPE is not ignored.
package struct SpawnedProcess: Sendable {
  package let identifier: pid_t

  package enum Ending: Sendable, Hashable, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)

    package var description: String {
      switch self {
      case .status(let status): "status \(status)"
      case .signal(let signal): "signal \(signal)"
      }
    }
  }

  /// Starts it.
  ///
  /// - Parameters:
  ///   - executable: a path; a bare name is looked up in our PATH, as execvp(3) does.
  ///   - arguments: the first is the program's own name.
  ///   - output: what its standard output goes to; then its standard input is empty. By default both are ours.
  /// - Throws: what the kernel says of the executable.
  package init(
    _ executable: String, arguments: [String], environment: [String: String], output: FileDescriptor? = nil
  ) throws(Errno) {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    // What is ignored stays so in a new program; what has a handler does not (execve(2)).
    var defaults = sigset_t()
    sigemptyset(&defaults)
    sigaddset(&defaults, SIGPIPE)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let output {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_adddup2(&actions, output.rawValue, STDOUT_FILENO)
    }

    // SAFETY: the C strings live until they are freed below; posix_spawnp copies them before it returns; one thread.
    let argumentPointers = arguments.map { strdup($0) } + [nil]
    let environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
    var identifier: pid_t = 0
    let code = posix_spawnp(
      &identifier, executable, &actions, &attributes, argumentPointers, environmentPointers)
    guard code == 0 else { throw Errno(rawValue: code) }
    self.identifier = identifier
  }

  /// Blocks the thread until it has ended; to be called once.
  package func wait() -> Ending {
    var status: Int32 = 0
    while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
    // waitpid(2): the low seven bits are the signal, the next byte the status.
    let signal = status & 0x7f
    return signal == 0 ? .status((status >> 8) & 0xff) : .signal(signal)
  }
}
