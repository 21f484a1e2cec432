import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LoopThread

@Suite struct SpawnedProcessTests {
  /// A helper's output and end.
  private func run(_ words: [String]) throws -> (output: String, ending: SpawnedProcess.Ending) {
    let (reader, writer) = try FileDescriptor.privatePipe()
    return try reader.closeAfter {
      let process = try writer.closeAfter {
        try SpawnedProcess(words[0], arguments: words, environment: ["A": "1"], output: writer)
      }
      return (String(decoding: try reader.contents(), as: UTF8.self), process.wait())
    }
  }

  @Test(.promise("CRED-2"))
  func `a helper has empty input, its environment, and a status`() throws {
    let (output, ending) = try run(["/bin/sh", "-c", "cat; echo $A; exit 3"])
    #expect(output == "1\n")
    #expect(ending == .status(3))
  }

  @Test func `a signal that ends it is told`() throws {
    #expect(try run(["/bin/sh", "-c", "kill -9 $$"]).ending == .signal(SIGKILL))
  }

  private func masks(of text: String) throws -> (blocked: UInt64, ignored: UInt64) {
    let masks = text.split(separator: "\n").compactMap { $0.split(separator: "\t").last }
      .compactMap { UInt64($0, radix: 16) }
    try #require(masks.count == 2)
    return (masks[0], masks[1])
  }

  private static func bit(_ signal: Int32) -> UInt64 { 1 << UInt64(signal - 1) }

  /// Not through sh(1): some shells have no signal blocked whoever starts them.
  private static let maskQuestion = ["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]

  @Test func `a helper is spared what the terminal sends, and has SIGPIPE's default`() async throws {
    signal(SIGPIPE, SIG_IGN)
    // Its thread has all of them blocked.
    let thread = try WorkerThreads(count: 1, name: "spawner")
    defer { thread.stop() }
    let (output, _) = try await thread.run { try run(Self.maskQuestion) }
    let (blocked, ignored) = try masks(of: output)
    #expect(blocked == [SIGINT, SIGHUP, SIGTTIN, SIGTTOU].reduce(0) { $0 | Self.bit($1) })
    #expect(ignored & Self.bit(SIGPIPE) == 0)
  }

  @Test func `a helper leads a process group of its own`() throws {
    // Field 5 of proc(5), /proc/self/stat: the process group.
    #expect(
      try run(["/bin/sh", "-c", "read -r a b c d group rest </proc/$$/stat; test $group = $$"]).ending
        == .status(0))
  }

  @Test func `any other program has no signal blocked`() async throws {
    let thread = try WorkerThreads(count: 1, name: "spawner")
    defer { thread.stop() }
    let ending = try await thread.run {
      try SpawnedProcess(
        "/bin/grep", arguments: ["grep", "-q", "^SigBlk:.0*$", "/proc/self/status"], environment: [:]
      ).wait()
    }
    #expect(ending == .status(0))
  }

  @Test func `what is no program is said by the kernel`() {
    #expect(throws: Errno.noSuchFileOrDirectory) { try run(["/no/such/program"]) }
    #expect(throws: Errno.permissionDenied) { try run(["/etc/passwd"]) }
  }

  @Test func `a status that somebody else has taken is not known`() throws {
    let process = try SpawnedProcess("/bin/true", arguments: ["true"], environment: [:])
    #expect(process.wait() == .status(0))
    #expect(process.wait() == .unknown)
  }

  @Test func `a helper gets no descriptor but the standard streams`() throws {
    // Not close-on-exec, and of a number that ls(1) does not get for its own.
    let kept = fcntl(0, F_DUPFD, 200)
    try #require(kept >= 200)
    defer { close(kept) }
    let (output, _) = try run(["/bin/ls", "/proc/self/fd"])
    let open = Set(output.split(separator: "\n").compactMap { Int32($0) })
    #expect(open.isSuperset(of: [0, 1, 2]))
    #expect(!open.contains(kept))
  }

  @Test func `no child gets an end of a private pipe`() throws {
    let (reader, writer) = try FileDescriptor.privatePipe()
    for end in [reader, writer] {
      #expect(fcntl(end.rawValue, F_GETFD) & FD_CLOEXEC != 0)
      try end.close()
    }
  }
}
