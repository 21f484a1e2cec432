import FoundationEssentials
import Glibc
import LoopThread

/// The program that `run` wraps: its own signal mask and defaults, our standard streams, our process group.
struct ChildProcess: Sendable {
  private let process: SpawnedProcess

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

  /// Some libraries' descriptors (libcurl's wake-up sockets) are not close-on-exec.
  private static func closeOwnDescriptorsOnExec() {
    for descriptor in openDescriptors().subtracting(inherited) where descriptor > 2 {
      // One that was closed in the meantime is EBADF, which is as good.
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }

  /// proc(5), /proc/self/fd.
  private static func openDescriptors() -> Set<Int32> {
    switch Result(catching: { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") }) {
    // That of the listing itself is closed by now.
    case .success(let names): Set(names.compactMap { Int32($0) }.filter { fcntl($0, F_GETFD) >= 0 })
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
    Self.closeOwnDescriptorsOnExec()
    do {
      process = try SpawnedProcess(executable, arguments: arguments, environment: environment)
    } catch {
      throw error == .noSuchFileOrDirectory ? ExitStatus.notFound : ExitStatus.notExecutable
    }
  }

  func send(_ signal: Int32) {
    kill(process.identifier, signal)
  }

  /// Waits on a thread of its own until the child has ended.
  func wait() async -> Ending {
    await withCheckedContinuation { continuation in
      let wait: @Sendable () -> Void = { [process] in
        switch process.wait() {
        case .status(let status): continuation.resume(returning: Ending(status: status))
        case .signal(let number): continuation.resume(returning: Ending(status: 128 + number))
        // Not known to have ended well is not well.
        case .unknown: continuation.resume(returning: Ending(status: ExitStatus.failure.code))
        }
      }
      do {
        try NativeThread(name: "s3m-child", body: wait).detach()
      } catch {
        // There are other threads for tasks, and the child is not to be left alone.
        wait()
      }
    }
  }
}
