import Foundation

/// A mount namespace (mount_namespaces(7)) that tests run in, so that their mounts are nobody else's.
///
/// A namespace belongs to a thread, and a test has many; so the tests are run by another process of the same program.
package enum MountNamespace {
  private static let variable = "S3MIRROR_OWN_MOUNTS"
  private static let front = ["unshare", "--mount", "--propagation", "private", "--"]

  /// Whether this process has a namespace of its own.
  package static let isOwn = ProcessInfo.processInfo.environment[variable] != nil

  /// Whether this machine lets tests have one, and mount something in it.
  package static let isPermitted = succeeds(front + ["mount", "-t", "tmpfs", "none", "/tmp"])

  /// Runs one suite of this program in a namespace of its own.
  ///
  /// - Returns: the status, and all that it printed.
  package static func run(suite: String) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    process.arguments = front + [program, "--testing-library", "swift-testing", "--filter", suite]
    process.environment = ProcessInfo.processInfo.environment.merging([variable: "1"]) { $1 }
    let pipe = Pipe.makePrivate()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.start()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}
