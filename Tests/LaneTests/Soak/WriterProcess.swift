import Foundation
import Glibc
import TestSupport
import Testing

/// A writer in a process of its own. The mirror knows of it only what the kernel reports.
///
/// Each is this test program once more, which carries out one test of `WriterTests`. An exit test would do the same, but
/// keeps a thread of the cooperative pool until its process ends, and the mirror none.
struct WriterProcess: Sendable, Codable {
  enum Work: Sendable, Codable, Hashable {
    /// Random operations, with rests at most so long between them.
    case random(operations: Int, restMicroseconds: UInt32)
    /// Checkpoints, until the file `stop` is there.
    case train
  }

  /// Holds `tree`, `outside`, `versions`, and `stop` in the end.
  var directory: String
  var seed: UInt64
  var work: Work
  /// Mostly below `n<home>` of the tree; nil everywhere.
  var home: Int?
  var emphasis: TreeOperation.Emphasis
  /// Whether changes of names wait for one another and are recorded.
  var isJournaled = true

  private static let variable = "S3MIRROR_SOAK_WRITER"

  /// What this process was started for; nil if it is no writer.
  static let ofThisProcess: WriterProcess? = {
    guard let text = ProcessInfo.processInfo.environment[variable] else { return nil }
    do {
      return try JSONDecoder().decode(WriterProcess.self, from: Data(text.utf8))
    } catch {
      Issue.record(error)
      return nil
    }
  }()

  /// How many operations of each kind took effect; once it has ended.
  func successes() throws -> [String: Int] {
    try JSONDecoder().decode([String: Int].self, from: Data(contentsOf: successesFile))
  }

  private var successesFile: URL { URL(fileURLWithPath: directory + "/successes-\(seed)") }

  /// Runs it in a process, and returns when that has ended.
  func run() async throws {
    // The whole name: others end in it.
    try await TestProgram.run(
      "LaneTests.WriterTests",
      environment: [Self.variable: String(decoding: try JSONEncoder().encode(self), as: UTF8.self)])
  }

  /// Does the work here.
  func perform() throws {
    var random = SplitMix64(seed: seed)
    let versions = try VersionCounter(sharedAt: directory + "/versions")
    let journal = isJournaled ? try NameJournal(in: directory) : nil
    switch work {
    case .random(let operations, let rest):
      let writer = TreeWriter(
        root: directory + "/tree", outside: directory + "/outside", versions: versions, journal: journal)
      var successes: [String: Int] = [:]
      for _ in 0..<operations {
        let operation = TreeOperation.random(using: &random, home: home, emphasis: emphasis)
        if writer.perform(operation) { successes[operation.kind, default: 0] += 1 }
        if rest > 0 { usleep(UInt32.random(in: 0..<rest, using: &random)) }
      }
      writer.closeLogs()
      try JSONEncoder().encode(successes).write(to: successesFile)
    case .train:
      var trainer = Trainer(root: directory + "/tree", versions: versions, journal: journal)
      var step = 0
      // Some hours: a process whose test has died ends too.
      while access(directory + "/stop", F_OK) != 0, step < 100_000 {
        step += 1
        trainer.step(step, using: &random)
        usleep(100_000 + UInt32(random.below(200_000)))
      }
    }
  }
}

/// No test, but what a writer's process does.
@Suite(.enabled(if: WriterProcess.ofThisProcess != nil, "only in a writer's process")) struct WriterTests {
  @Test func `a writer does its work`() throws {
    try #require(WriterProcess.ofThisProcess).perform()
  }
}

/// This program of tests, started once more for some of them.
enum TestProgram {
  struct Failure: Error {
    var status: Int32
    var output: String
  }

  /// - Parameter front: a program that starts it, found on PATH.
  /// - Throws: `Failure` when a test failed or the program could not be started.
  @discardableResult
  static func run(_ filter: String, environment: [String: String], under front: [String] = []) async throws
    -> String
  {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      front + [URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path]
      + ["--testing-library", "swift-testing", "--filter", filter]
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    let pipe = Pipe.makePrivate()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.start()
    return try await withCheckedThrowingContinuation { continuation in
      // Reading and waiting block, so they have a thread of their own.
      Thread {
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus == 0 {
          continuation.resume(returning: output)
        } else {
          continuation.resume(throwing: Failure(status: process.terminationStatus, output: output))
        }
      }.start()
    }
  }
}
