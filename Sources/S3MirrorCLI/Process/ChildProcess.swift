import FoundationEssentials
import Glibc
import LoopThread

/// The program that `run` starts: with its own signal mask and default actions, this process's standard
/// streams and process group.
struct ChildProcess: Sendable {
  private let process: SpawnedProcess

  /// How the program ended, as in a shell: its status, or 128 plus the signal's number.
  struct Ending: Sendable, Hashable {
    var status: Int32
  }

  /// The descriptors that this process inherited besides the standard streams. The child gets them too, as
  /// from any wrapper (`<(…)` of a shell, a job server). The child does not get descriptors that this process
  /// opened itself.
  private static let inherited = openDescriptors()

  /// Records the inherited descriptors. Call it before anything is opened.
  static func noteInheritedDescriptors() {
    _ = inherited
  }

  /// Some libraries' descriptors (libcurl's wake-up sockets) are not close-on-exec.
  private static func closeOwnDescriptorsOnExec() {
    for descriptor in openDescriptors().subtracting(inherited) where descriptor > 2 {
      // EBADF means that the descriptor was closed in the meantime, which is fine.
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }

  /// proc(5), /proc/self/fd.
  private static func openDescriptors() -> Set<Int32> {
    switch Result(catching: { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") }) {
    // The descriptor of the listing itself is closed by now.
    case .success(let names): Set(names.compactMap { Int32($0) }.filter { fcntl($0, F_GETFD) >= 0 })
    // Without /proc the descriptors cannot be distinguished, and the child inherits all that are not
    // close-on-exec.
    case .failure: []
    }
  }

  /// Finds a command in the way of execvp(3).
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
  /// - Throws: `ExitStatus.notExecutable` or `.notFound` if the kernel refuses it.
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

  /// Waits on a separate thread until the child has ended.
  func wait() async -> Ending {
    await withCheckedContinuation { continuation in
      let wait: @Sendable () -> Void = { [process] in
        switch process.wait() {
        case .status(let status): continuation.resume(returning: Ending(status: status))
        case .signal(let number): continuation.resume(returning: Ending(status: 128 + number))
        // An unknown end does not count as success.
        case .unknown: continuation.resume(returning: Ending(status: ExitStatus.failure.code))
        }
      }
      do {
        try NativeThread(name: "s3m-child", body: wait).detach()
      } catch {
        // Other threads run the tasks, and the child must be awaited.
        wait()
      }
    }
  }
}
