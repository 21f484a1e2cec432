import Foundation
import Glibc
import Testing

@testable import S3MirrorCLI

/// `status` and `flush` ask the running mirror.
@Suite(.enabled(if: Program.bucket != nil)) struct ControlTests {
  private func watch(_ program: Program, _ options: String...) async throws -> Running {
    try program.directory.makeDirectory("work/tree")
    let running = try program.start(
      ["watch", "tree", program.url("t"), "--interval", "3600", "--verbose"] + options)
    #expect(await running.says("watch: entry:"))
    return running
  }

  @Test func `flush publishes now, and status tells what waits`() async throws {
    let program = try Program()
    let running = try await watch(program)
    try program.directory.write("work/tree/a", "x")
    let flush = try await program.run("flush")
    #expect(flush.status == 0, "\(flush.messages)")
    #expect(try await program.run("ls", program.url("t")).output == program.url("t/a") + "\n")
    let status = try await program.run("status")
    #expect(status.status == 0)
    let rows = status.output.split(separator: "\n").map {
      $0.split(separator: " ", omittingEmptySubsequences: true)
    }
    #expect(rows.first?.first == "MIRROR")
    #expect(rows.count == 2)
    #expect(rows.last?.prefix(4) == ["watch", "\(running.identifier)"[...], "running", "watch"])
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
  }

  @Test func `status --json is a line a mirror`() async throws {
    struct Line: Decodable {
      struct Upload: Decodable {
        var name: String
        var remote: String
        var waitingFiles: Int
        var publishedFiles: Int
      }
      var pid: Int32
      var phase: String
      var uploads: [Upload]
    }
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    let running = try await watch(program)
    let ending = try await program.run("status", "--json")
    let line = try JSONDecoder().decode(Line.self, from: Data(ending.output.utf8))
    #expect(line.pid == running.identifier)
    #expect(line.phase == "running")
    #expect(line.uploads.map(\.remote) == [program.url("t")])
    #expect(line.uploads.map(\.publishedFiles) == [1])
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
  }

  @Test func `where no mirror runs both are status 3 and one line`() async throws {
    let program = try Program()
    for command in ["status", "flush"] {
      let ending = try await program.run(command)
      #expect(ending.status == 3)
      #expect(ending.output.isEmpty)
      #expect(ending.lines.count == 1)
    }
  }

  @Test func `the socket of a killed mirror is taken away`() async throws {
    let program = try Program()
    let running = try await watch(program)
    let socket = try #require(program.directory.everything().first { $0.hasSuffix(".sock") })
    running.send(SIGKILL)
    #expect(await running.ending().status == 128 + SIGKILL)
    #expect(program.directory.exists(socket))
    #expect(try await program.run("status").status == 3)
    #expect(!program.directory.exists(socket))
  }

  @Test func `several mirrors are all told, and one is chosen by name or process`() async throws {
    let program = try Program()
    for name in ["one", "two"] { try program.directory.makeDirectory("work/\(name)") }
    let mirrors = try ["one", "two"].map { name in
      try program.start(["watch", name, program.url(name), "--interval", "3600", "--verbose", "--name", name])
    }
    for (mirror, name) in zip(mirrors, ["one", "two"]) { #expect(await mirror.says("\(name): entry:")) }
    for name in ["one", "two"] { try program.directory.write("work/\(name)/file", "x") }
    #expect(try await program.run("status").output.split(separator: "\n").count == 3)
    let one = try await program.run("status", "--pid", "\(mirrors[0].identifier)")
    #expect(one.output.split(separator: "\n").count == 2)
    #expect(try await program.run("status", "three").status == 3)
    #expect(try await program.run("flush", "two").status == 0)
    #expect(try await program.run("ls", program.url("two")).output == program.url("two/file") + "\n")
    #expect(try await program.run("ls", program.url("one")).status == 3)
    #expect(try await program.run("flush").status == 0)
    #expect(try await program.run("ls", program.url("one")).status == 0)
    for mirror in mirrors { mirror.send(SIGTERM) }
    for mirror in mirrors { #expect(await mirror.ending().status == 0) }
  }

  @Test func `what a flush cannot publish is printed, with status 1`() async throws {
    let program = try Program()
    let running = try await watch(program, "--exit-timeout", "30")
    let name = String(repeating: "n", count: 250)
    let deep = [name, name, name, name].joined(separator: "/")
    try program.directory.write("work/tree/\(deep)/file", "x")
    let flush = try await program.run("flush")
    #expect(flush.status == 1)
    #expect(flush.output.contains("over S3's 1,024"))
    #expect(flush.lines.count == 1)
    running.send(SIGTERM)
    #expect(await running.ending().status == 1)
  }

  @Test(.promise("END-10"))
  func `a flush with a deadline returns at it, and says that something is left`() async throws {
    let program = try Program()
    let running = try await watch(program, "--max-upload-rate", "50k", "--exit-timeout", "0.1")
    try program.directory.write("work/tree/small", "x")
    #expect(try await program.run("flush", "--deadline", "60").status == 0)
    try program.directory.write("work/tree/large", String(repeating: "x", count: 4 << 20))
    let flush = try await program.run("flush", "--deadline", "0.5")
    #expect(flush.status == 1)
    #expect(flush.messages.contains("the deadline came before everything was published"))
    running.send(SIGKILL)
    _ = await running.ending()
  }

  @Test func `a program that run wraps can flush its own mirror`() async throws {
    let program = try Program()
    let ending = try await program.run(
      "run", "--upload", "out=\(program.url("out")),local=out,interval=none", "--quiet", "--", "sh", "-c",
      "echo x > out/file; '\(Program.executable.path)' flush out && '\(Program.executable.path)' ls \(program.url("out"))"
    )
    #expect(ending.status == 0, "\(ending.messages)")
    #expect(ending.output == program.url("out/file") + "\n")
  }

  @Test func `--no-control-socket makes none`() async throws {
    let program = try Program()
    let running = try await watch(program, "--no-control-socket")
    #expect(try await program.run("status").status == 3)
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
  }
}
