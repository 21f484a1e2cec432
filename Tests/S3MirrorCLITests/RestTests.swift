import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// "At rest there are no wake-ups but the interval's." What would wake it is libdispatch, once its threads have begun;
/// `Scripts/bench idle` counts.
@Suite(.enabled(if: Program.bucket != nil)) struct RestTests {
  @Test(.promise("WATCH-12"))
  func `a watch that has published and answered has no thread of libdispatch`() async throws {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    let running = try program.start(
      ["watch", "tree", program.url("t"), "--interval", "3600", "--settle", "0.01", "--verbose"])
    #expect(await running.says("watch: entry:"))
    for name in ["tree/a", "tree/b/c"] {
      try program.directory.write("work/" + name, name)
      #expect(try await program.run("flush").status == 0)
    }
    #expect(try await program.run("status").status == 0)
    #expect(try Self.threadNames(of: running.identifier).contains("s3m-task"))
    #expect(try Self.threadNames(of: running.identifier).filter { $0.contains("qos") } == [])
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
  }

  @Test func `a run whose program goes on has none either`() async throws {
    let program = try Program()
    try program.directory.write("work/out/a", "a")
    let running = try program.start([
      "run", "--upload", "out=\(program.url("o")),local=out,interval=0", "--settle", "0.01", "--verbose",
      "--",
      "sh", "-c", "echo late > {out}/b; echo started >&2; exec sleep 600",
    ])
    #expect(await running.says("started"))
    #expect(await running.says("out: tick 1:"))
    #expect(try Self.threadNames(of: running.identifier).filter { $0.contains("qos") } == [])
    running.send(SIGTERM)
    #expect(await running.ending().status == 128 + SIGTERM)
  }

  /// proc(5), /proc/PID/task/TID/comm; libdispatch names its threads after the end of their queue's label.
  private static func threadNames(of process: pid_t) throws -> [String] {
    let tasks = "/proc/\(process)/task"
    return try FileManager.default.contentsOfDirectory(atPath: tasks).map { task in
      // A thread may end meanwhile.
      String(decoding: FileManager.default.contents(atPath: "\(tasks)/\(task)/comm") ?? Data(), as: UTF8.self)
        .trimmingCharacters(in: .newlines)
    }
  }
}
