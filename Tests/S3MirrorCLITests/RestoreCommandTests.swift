import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// `restore` against a real server.
@Suite(.enabled(if: Program.bucket != nil)) struct RestoreCommandTests {
  /// Two checkpoints of a run with a pointer, and a third whose last file never came.
  private func publish(_ program: Program) async throws {
    for step in [1, 2] {
      for shard in 0..<4 {
        try program.directory.write("work/run/step-\(step)/__\(shard)_0.distcp", "\(step) \(shard)")
      }
      try program.directory.write("work/run/step-\(step)/.metadata", "__0_0.distcp __3_0.distcp")
    }
    try program.directory.write("work/run/step-3/__0_0.distcp", "3 0")
    try program.directory.write("work/run/latest", "step-2")
    #expect(try await program.run("upload", "run", program.url("run")).status == 0)
  }

  @Test(.promise("RST-1", "RST-3"))
  func `the newest complete checkpoint comes, and its path is the output`() async throws {
    let program = try Program()
    try await publish(program)
    let ending = try await program.run("restore", program.url("run"), "out")
    #expect(ending.status == 0, "\(ending.messages)")
    #expect(ending.output == program.directory["work/out/step-2"] + "\n")
    #expect(ending.messages.contains("step-3 is newer and is not restored: step-3/.metadata is missing"))
    #expect(try program.directory.text("work/out/latest") == "step-2")
    #expect(try program.directory.text("work/out/step-2/__3_0.distcp") == "2 3")
    let other = try await program.run("restore", program.url("run"), "other", "--unit", "step-1")
    #expect(other.output == program.directory["work/other/step-1"] + "\n")
    #expect(!program.directory.exists("work/other/latest"))
  }

  @Test(.promise("RST-5"))
  func `--list tells of each checkpoint whether it is complete, and why not`() async throws {
    struct Line: Decodable, Equatable {
      var name: String
      var state: String
      var files: Int
      var namedBy: [String]
    }
    let program = try Program()
    try await publish(program)
    let ending = try await program.run("restore", program.url("run"), "--list", "--json")
    let lines = try ending.output.split(separator: "\n")
      .map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    #expect(
      lines == [
        Line(name: "step-3", state: "incomplete", files: 1, namedBy: []),
        Line(name: "step-2", state: "complete", files: 5, namedBy: ["latest"]),
        Line(name: "step-1", state: "complete", files: 5, namedBy: []),
      ])
    let text = try await program.run("restore", program.url("run"), "--list")
    #expect(text.status == 0)
    #expect(text.output.split(separator: "\n").first?.contains("step-3: step-3/.metadata is missing") == true)
    let none = try await program.run("restore", program.url("run/step-3"), "out")
    #expect(none.status == 1)
    #expect(none.messages.contains("no checkpoint"))
    #expect(try await program.run("restore", program.url("nothing"), "out").status == 3)
    #expect(try await program.run("restore", program.url("run"), "--list", "--unit", "step-1").status == 2)
  }

  @Test(.promise("RST-2"), arguments: 0..<5)
  func `a restore that is killed leaves nothing to be found, and the next completes it`(shard: Int)
    async throws
  {
    let program = try Program()
    try await publish(program)
    let file = shard < 4 ? "__\(shard)_0.distcp" : ".metadata"
    let running = try program.start(["restore", program.url("run"), "out", "--verbose", "--max-workers", "1"])
    #expect(await running.says("download \(file)"))
    running.send(SIGKILL)
    _ = await running.ending()
    let isHere = program.directory.exists("work/out/step-2")
    if isHere {
      // It was faster than the signal: then all of it is there.
      for number in 0..<4 {
        #expect(try program.directory.text("work/out/step-2/__\(number)_0.distcp") == "2 \(number)")
      }
      #expect(program.directory.exists("work/out/step-2/.metadata"))
    } else {
      #expect(!program.directory.exists("work/out/latest"))
    }
    let ending = try await program.run("restore", program.url("run"), "out")
    #expect(ending.status == 0)
    let files = program.directory.everything().filter { $0.hasPrefix("work/out/") }.map { $0.dropFirst(9) }
    #expect(
      files == [
        "latest", "step-2", "step-2/.metadata", "step-2/__0_0.distcp", "step-2/__1_0.distcp",
        "step-2/__2_0.distcp",
        "step-2/__3_0.distcp",
      ])
  }

  @Test(.promise("RST-7"))
  func `run restores before its program starts, and starts it with nothing in a first run`() async throws {
    let program = try Program()
    let remote = program.url("run")
    let script =
      "printf '%s|%s' \"$S3MIRROR_FROM\" \"$1\"; mkdir -p out/step-2; echo new > out/step-2/late.bin"
    func run(_ restore: String) async throws -> Program.Ending {
      try await program.run(
        "run", "--restore", restore, "--upload", "out=\(remote),local=out", "--", "sh", "-c",
        script, "sh", "resume={from}")
    }
    let first = try await run("from=\(remote),local=out")
    #expect(first.status == 0, "\(first.messages)")
    #expect(first.output == "|resume=")
    try await publish(program)
    try FileManager.default.removeItem(atPath: program.directory["work/out"])
    let later = try await run("from=\(remote),local=out")
    #expect(later.status == 0, "\(later.messages)")
    let path = program.directory["work/out/step-2"]
    #expect(later.output == "\(path)|resume=\(path)")
    #expect(later.messages.contains("step-3 is newer and is not restored: step-3/.metadata is missing"))
    #expect(!program.directory.exists("work/out/step-1"))
    // What was restored is published again only where the program changed it.
    let listing = try await program.run("ls", "-r", remote)
    #expect(listing.output.contains("step-2/late.bin"))
    let chosen = try await run("from=\(remote),local=other,unit=step-1")
    #expect(chosen.output.hasPrefix(program.directory["work/other/step-1"] + "|"))
    let broken = try await run("from=\(remote),local=other,unit=step-3")
    #expect(broken.status == 1)
    #expect(broken.output.isEmpty, "the program does not start without what it was to have")
    #expect(broken.messages.contains("step-3 is not complete"))
  }
}
