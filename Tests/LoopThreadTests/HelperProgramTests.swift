import Foundation
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LoopThread

@Suite struct HelperProgramTests {
  private func shell(_ script: String) -> HelperProgram {
    HelperProgram("/bin/sh", arguments: ["sh", "-c", script], environment: ["PATH": "/usr/bin:/bin"])
  }

  private func output(_ script: String, within limit: Duration = .seconds(60)) async throws -> String {
    String(decoding: try await shell(script).output(within: limit), as: UTF8.self)
  }

  @Test func `a helper's output is returned when it ends`() async throws {
    #expect(try await output("echo a; echo b") == "a\nb\n")
    // More than a pipe holds (pipe(7): 64 KiB).
    #expect(try await output("head -c 300000 /dev/zero").utf8.count == 300_000)
  }

  @Test func `a helper that fails is told by its status`() async {
    await #expect(throws: HelperProgram.Failure.failed(.status(3))) { try await output("exit 3") }
    await #expect(throws: HelperProgram.Failure.failed(.signal(SIGKILL))) { try await output("kill -9 $$") }
    await #expect(throws: HelperProgram.Failure.notStarted(.noSuchFileOrDirectory)) {
      try await HelperProgram("/no/such", arguments: ["such"], environment: [:]).output(within: .seconds(9))
    }
  }

  @Test func `what a helper has left in the background does not hold its output up`() async throws {
    let text = try await output("sleep 600 & echo $!")
    let left = try #require(pid_t(text.dropLast()))
    #expect(kill(left, SIGKILL) == 0)
  }

  @Test func `a helper that prints without end is killed`() async {
    await #expect(throws: HelperProgram.Failure.tooMuch(bytes: 1 << 20)) { try await output("yes") }
  }

  @Test(
    .promise("CRED-2"), arguments: ["sleep 600", "exec >&-; sleep 600", "trap '' TERM INT HUP; sleep 600"])
  func `a helper that hangs is killed at its deadline`(script: String) async {
    let limit = Duration.milliseconds(200)
    await #expect(throws: HelperProgram.Failure.late(limit)) { try await output(script, within: limit) }
  }

  @Test func `a task that is cancelled stops waiting, and its helper with all that it started is killed`()
    async throws
  {
    let fifo = NSTemporaryDirectory() + "/helper-\(UInt64.random(in: 0 ... .max))"
    try #require(mkfifo(fifo, 0o600) == 0)
    defer { unlink(fifo) }
    let task = Task { try await output("exec 7>\(fifo); sleep 600 & echo >&7; wait") }
    // Opening it waits for the other side, and the line for the grandchild, which holds the writer's end too.
    let reader = try await onThread { try FileDescriptor.open(FilePath(fifo), .readOnly) }
    #expect(try await onThread { try reader.read(upTo: 1) } == Array("\n".utf8))
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    // The end comes when both are gone.
    #expect(try await onThread { try reader.read(upTo: 1) } == [])
    try reader.close()
  }

  @Test func `a cancellation has killed the helper when it returns, or keeps it from its start`() throws {
    let life = HelperProgram.Life()
    let (reader, writer) = try FileDescriptor.privatePipe()
    defer { for end in [reader, writer] { close(end.rawValue) } }
    func start() throws -> SpawnedProcess {
      try life.begin { () throws(Errno) in
        try SpawnedProcess("/bin/sleep", arguments: ["sleep", "600"], environment: [:], output: writer)
      }
    }
    let process = try start()
    // No other thread has a part in it: the program may end as soon as the call returns.
    life.end()
    #expect(process.wait() == .signal(SIGKILL))
    #expect(throws: CancellationError.self) { try start() }
  }

  @Test func `a task that is cancelled beforehand gets no output`() async {
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await output("sleep 600")
    }
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  private func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    let thread = try WorkerThreads(count: 1, name: "test-read")
    defer { thread.stop() }
    return try await thread.run(body)
  }
}
