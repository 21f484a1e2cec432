import Glibc
import SystemPackage
import Testing

@testable import LoopThread

@Suite struct SpawnedProcessTests {
  private func run(_ words: String...) throws -> (output: String, ending: SpawnedProcess.Ending) {
    let (reader, writer) = try FileDescriptor.privatePipe()
    return try reader.closeAfter {
      let process = try writer.closeAfter {
        try SpawnedProcess(words[0], arguments: words, environment: ["A": "1"], output: writer)
      }
      return (String(decoding: try reader.contents(), as: UTF8.self), process.wait())
    }
  }

  @Test func `a program from PATH has empty input, its environment, and a status`() throws {
    let (output, ending) = try run("sh", "-c", "cat; echo $A; exit 3")
    #expect(output == "1\n")
    #expect(ending == .status(3))
  }

  @Test func `a signal that ends it is told`() throws {
    #expect(try run("/bin/sh", "-c", "kill -9 $$").ending == .signal(SIGKILL))
  }

  @Test func `no signal is blocked or ignored for it`() async throws {
    signal(SIGPIPE, SIG_IGN)
    // Its thread has all of them blocked.
    let thread = try WorkerThreads(count: 1, name: "spawner")
    defer { thread.stop() }
    let (output, _) = try await thread.run { try run("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status") }
    let masks = output.split(separator: "\n").compactMap { $0.split(separator: "\t").last }
      .compactMap { UInt64($0, radix: 16) }
    try #require(masks.count == 2)
    #expect(masks[0] == 0)
    #expect(masks[1] & (1 << UInt64(SIGPIPE - 1)) == 0)
  }

  @Test func `what is no program is said by the kernel`() {
    #expect(throws: Errno.noSuchFileOrDirectory) { try run("/no/such/program") }
    #expect(throws: Errno.permissionDenied) { try run("/etc/passwd") }
  }

  @Test func `no child gets an end of a private pipe`() throws {
    let (reader, writer) = try FileDescriptor.privatePipe()
    for end in [reader, writer] {
      #expect(fcntl(end.rawValue, F_GETFD) & FD_CLOEXEC != 0)
      try end.close()
    }
  }
}
