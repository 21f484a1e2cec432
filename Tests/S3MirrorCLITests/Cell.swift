import Foundation
import Glibc
import Synchronization
import TestSupport

/// User and mount namespaces (user_namespaces(7)) that a program runs in: limits and mounts of its own, and nothing of the
/// machine's is touched.
///
/// Lines that the test gives are run by a shell in the same namespaces while the program runs.
final class Cell: Sendable {
  /// Whether this machine lets tests have one.
  static let isPermitted = allows("mount -t tmpfs none /tmp")
  /// Linux 5.11 and later let user namespaces mount overlays, unless the filesystem below objects.
  static let hasOverlays = allows(
    """
    mount -t tmpfs none /tmp && mkdir /tmp/lower /tmp/upper /tmp/work /tmp/merged \
    && mount -t overlay overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work /tmp/merged
    """)

  private static let unshare = ["unshare", "--user", "--map-root-user", "--mount"]

  private static func allows(_ script: String) -> Bool { succeeds(unshare + ["sh", "-c", script]) }

  struct Failure: Error {
    var operation: String
    var code: Int32
  }

  private let program: Program
  /// Nil when it is closed.
  private let commands: Mutex<Int32?>

  init(_ program: Program) throws {
    self.program = program
    let path = program.directory["work/commands"]
    guard mkfifo(path, 0o600) == 0 else { throw Failure(operation: "mkfifo", code: errno) }
    // Both ways, so that neither side waits for the other to open it.
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure(operation: "open", code: errno) }
    commands = Mutex(descriptor)
  }

  deinit { closeCommands() }

  private func closeCommands() {
    commands.withLock { descriptor in
      if let descriptor { close(descriptor) }
      descriptor = nil
    }
  }

  /// Has the program end, and the shell beside it.
  ///
  /// The shell first: it holds what `Process` knows a program's end by.
  func end(_ running: Running) async -> Program.Ending {
    running.send(SIGTERM)
    closeCommands()
    return await running.ending()
  }

  /// Starts `s3mirror` in the directory `work`, in namespaces of its own.
  ///
  /// - Parameter setup: run first, by a shell that has made sure of the new namespace: a limit's file under
  ///   /proc/sys/user is that of the writer's namespace.
  func start(_ arguments: [String], after setup: String) throws -> Running {
    let outer = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/user")
    let script = """
      [ "$(readlink /proc/self/ns/user)" != "\(outer)" ] || exit 99
      { \(setup)
      } || exit 98
      (while read -r line; do eval "$line"; done) <commands >/dev/null 2>&1 &
      exec "$0" "$@"
      """
    return try program.start(arguments, under: Self.unshare + ["sh", "-c", script])
  }

  /// Has a line run in the namespaces, after those before it.
  func run(_ line: String) throws {
    let bytes = Array((line + "\n").utf8)
    let written = commands.withLock { descriptor in
      bytes.withUnsafeBytes { write(descriptor ?? -1, $0.baseAddress, $0.count) }
    }
    guard written == bytes.count else { throw Failure(operation: "write", code: errno) }
  }
}
