import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// A root that the program may not read any more.
@Suite(.enabled(if: Program.bucket != nil && getuid() == 0, "needs a server, and to be root"))
struct ForbiddenRootTests {
  /// Root that may not ignore permissions.
  private static let restricted = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]

  @Test func `a file that may not be read is planned as the run fares, marker and deletes included`()
    async throws
  {
    let program = try Program()
    for name in ["a", "gone"] { try program.directory.write("work/tree/\(name)", "x") }
    #expect(try await program.run("upload", "tree", program.url("t"), "--quiet").status == 0)
    try program.directory.remove("work/tree/gone")
    for name in ["a", "b", "latest"] { try program.directory.write("work/tree/\(name)", "longer") }
    try #require(chmod(program.directory["work/tree/a"], 0) == 0)
    let upload = ["upload", "tree", program.url("t"), "--delete", "--quiet"]
    let plan = try await program.start(upload + ["--dry-run"], under: Self.restricted).ending()
    #expect(plan.status == 1, "\(plan.messages)")
    let lines = plan.output.split(separator: "\n").map { line in String(line.prefix { $0 != ":" }) }
    #expect(lines == ["refuse a", "upload new b", "refuse latest", "withhold gone"], "\(plan.output)")
    let run = try await program.start(upload, under: Self.restricted).ending()
    #expect(run.status == 1, "\(run.messages)")
    let keys = ["a", "b", "gone"].map { program.url("t/\($0)") + "\n" }
    #expect(try await program.run("ls", program.url("t")).output == keys.joined())
  }

  @Test func `a root that may not be read ends a plan, a verification and a run alike`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    try #require(chmod(program.directory["work/tree"], 0) == 0)
    for arguments in [["upload"], ["upload", "--dry-run"], ["verify"]] {
      let command = arguments.prefix(1) + ["tree", program.url("t")] + arguments.dropFirst()
      let ending = try await program.start(Array(command), under: Self.restricted).ending()
      #expect(ending.status == 3, "\(command): \(ending.messages)")
      #expect(ending.lines.count == 1 && ending.messages.contains("Permission denied"), "\(ending.messages)")
    }
    try #require(chmod(program.directory["work/tree"], 0o755) == 0)
  }

  @Test(.promise("WATCH-4"))
  func `a root without permissions deletes nothing, is said, and is taken up again`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    // The test writes where the program cannot look.
    let running = try program.start(
      ["watch", "tree", program.url("t"), "--interval", "0.2", "--delete", "--verbose"],
      under: Self.restricted)
    #expect(await running.says("watch: entry:"))
    try #require(chmod(program.directory["work/tree"], 0) == 0)
    try program.directory.write("work/tree/b", "x")
    try program.directory.remove("work/tree/a")
    #expect(await running.says("may not be read any more"))
    #expect(try await program.run("ls", program.url("t")).output == program.url("t/a") + "\n")
    try #require(chmod(program.directory["work/tree"], 0o755) == 0)
    #expect(await running.says("is back, and all of it is compared with S3"))
    #expect(await running.says("watch: upload b"))
    running.send(SIGTERM)
    let ending = await running.ending()
    #expect(ending.status == 0)
    #expect(ending.messages.components(separatedBy: "may not be read any more").count == 2)
    #expect(try await program.run("ls", program.url("t")).output == program.url("t/b") + "\n")
  }
}
