import Foundation
import Glibc

/// The program that `run` wraps: its own signal mask and defaults, our standard streams, our process group.
struct ChildProcess: Sendable {
  let identifier: pid_t

  /// How it ended, as a shell would say it: its status, or 128 and the signal's number.
  struct Ending: Sendable, Hashable {
    var status: Int32
  }

  /// The descriptors that this program was given, beyond the standard streams: the child gets them too, as through
  /// any wrapper (`<(…)` of a shell, a job server). What we open ourselves it does not.
  private static let inherited = openDescriptors()

  /// Notes the inherited descriptors. Call before anything is opened.
  static func noteInheritedDescriptors() {
    _ = inherited
  }

  /// Some libraries' descriptors (libcurl's wake-up sockets, Foundation's pipes) are not close-on-exec.
  private static func closeOwnDescriptorsOnExec() {
    for descriptor in openDescriptors().subtracting(inherited) where descriptor > 2 {
      // One that was closed in the meantime is EBADF, which is as good.
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }

  /// proc(5), /proc/self/fd.
  private static func openDescriptors() -> Set<Int32> {
    switch Result(catching: { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") }) {
    case .success(let names): Set(names.compactMap { Int32($0) })
    // Without /proc nothing can be told apart, and the child inherits what is not close-on-exec.
    case .failure: []
    }
  }

  /// Finds a command as execvp(3) would.
  ///
  /// - Throws: `ExitStatus.notFound` or `.notExecutable`.
  static func locate(_ command: String, path: String?) throws -> String {
    guard !command.isEmpty else { throw ExitStatus.notFound }
    if command.contains("/") {
      guard access(command, F_OK) == 0 else { throw ExitStatus.notFound }
      guard isExecutable(command) else { throw ExitStatus.notExecutable }
      return command
    }
    var foundUnusable = false
    for directory in (path ?? "/usr/local/bin:/usr/bin:/bin").split(
      separator: ":", omittingEmptySubsequences: false)
    {
      let candidate = (directory.isEmpty ? "." : String(directory)) + "/" + command
      if isExecutable(candidate) { return candidate }
      if access(candidate, F_OK) == 0 { foundUnusable = true }
    }
    throw foundUnusable ? ExitStatus.notExecutable : ExitStatus.notFound
  }

  private static func isExecutable(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
  }

  /// Starts the command.
  ///
  /// - Throws: `ExitStatus.notExecutable` or `.notFound` when the kernel refuses it.
  init(executable: String, arguments: [String], environment: [String: String]) throws {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for number in SignalStream.numbers + [SIGPIPE] where !SignalStream.isIgnored(number) {
      sigaddset(&defaults, number)
    }
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    Self.closeOwnDescriptorsOnExec()
    // SAFETY: the C strings live until they are freed below; posix_spawn copies them before it returns; one thread.
    let argumentPointers = arguments.map { strdup($0) } + [nil]
    let environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
    var identifier: pid_t = 0
    let result = posix_spawn(
      &identifier, executable, nil, &attributes, argumentPointers, environmentPointers)
    guard result == 0 else { throw result == ENOENT ? ExitStatus.notFound : ExitStatus.notExecutable }
    self.identifier = identifier
  }

  func send(_ signal: Int32) {
    kill(identifier, signal)
  }

  /// Waits on a thread of its own until the child has ended.
  func wait() async -> Ending {
    await withCheckedContinuation { continuation in
      let identifier = identifier
      let thread = Thread {
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        // waitpid(2): the low seven bits are the signal, the next byte the status.
        let signal = status & 0x7f
        continuation.resume(returning: Ending(status: signal == 0 ? (status >> 8) & 0xff : 128 + signal))
      }
      thread.name = "s3m-child"
      thread.start()
    }
  }
}
