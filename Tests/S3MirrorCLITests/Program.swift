import Foundation
import Glibc
import Synchronization
import TestSupport

/// The built `s3mirror`, run as a user runs it, in a home of its own.
final class Program: Sendable {
  struct Ending: Sendable {
    /// The status, or 128 and the signal's number where a signal ended it.
    var status: Int32
    var output: String
    var messages: String

    /// What it complained of, without the program's name: one line, or the test that asks is wrong.
    var lines: [String] { messages.split(separator: "\n").map(String.init) }
  }

  /// Where `S3MIRROR_TEST_ENDPOINT` leads, and which bucket is there.
  static let bucket: String? = {
    let environment = ProcessInfo.processInfo.environment
    return environment["S3MIRROR_TEST_ENDPOINT"] == nil ? nil : environment["S3MIRROR_TEST_BUCKET"]
  }()

  /// The tests and the program are built into one directory.
  static var executable: URL {
    URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appendingPathComponent("s3mirror")
  }

  let directory: TemporaryDirectory
  let prefix = "cli-\(UInt64.random(in: 0 ... .max))"

  init() throws {
    directory = try TemporaryDirectory()
    for name in ["home", "run", "work"] { try directory.makeDirectory(name) }
  }

  func url(_ key: String) -> String { "s3://\(Self.bucket ?? "bucket")/\(prefix)/\(key)" }

  /// Runs it to its end.
  func run(_ arguments: String..., environment: [String: String] = [:]) async throws -> Ending {
    try await start(arguments, environment: environment).ending()
  }

  /// Starts it in the directory `work`.
  ///
  /// - Parameter front: a program that starts it, found on PATH.
  func start(
    _ arguments: [String], environment: [String: String] = [:], under front: [String] = []
  ) throws -> Running {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: front.isEmpty ? Self.executable.path : "/usr/bin/env")
    process.arguments = front.isEmpty ? arguments : front + [Self.executable.path] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: directory["work"])
    var variables = ProcessInfo.processInfo.environment
    variables["HOME"] = directory["home"]
    variables["XDG_RUNTIME_DIR"] = directory["run"]
    variables["XDG_STATE_HOME"] = directory["state"]
    variables["XDG_CACHE_HOME"] = directory["cache"]
    variables.merge(environment) { $1 }
    process.environment = variables
    return try Running(process)
  }
}
