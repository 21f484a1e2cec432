import Foundation
import Glibc
import Testing

@testable import S3MirrorCLI

/// A root that the program may not read any more.
@Suite(.enabled(if: Program.bucket != nil && getuid() == 0, "needs a server, and to be root"))
struct ForbiddenRootTests {
  @Test func `a root without permissions deletes nothing, is said, and is taken up again`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    // Root that may not ignore permissions: the test writes where the program cannot look.
    let running = try program.start(
      ["watch", "tree", program.url("t"), "--interval", "0.2", "--delete", "--verbose"],
      under: ["setpriv", "--bounding-set=-dac_override,-dac_read_search"])
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
