import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// What becomes of a command whose output nobody reads, and what its output may hold.
@Suite struct OutputTests {
  /// Runs the program with its output cut off after the first line, and keeps its number and its status in files. In the
  /// foreground: a shell's `wait` needs a SIGCHLD that the test's threads may block.
  private static let cutOff = [
    "sh", "-c",
    """
    { sh -c 'echo $$ >pid; exec "$0" "$@"' "$0" "$@"; echo $? >status; } \
    | { head -n 1 >first; exec <&-; echo 'the reader has left' >&2; }
    """,
  ]

  @Test(.enabled(if: Program.bucket != nil, "needs a server"))
  func `a watch whose reader goes away publishes on and ends as it should`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/before", "x")
    let running = try program.start(
      ["watch", "tree", program.url("t"), "--json", "--interval", "3600"], under: Self.cutOff)
    #expect(await running.says("the reader has left"))
    try program.directory.write("work/tree/after", "x")
    #expect(try await program.run("flush").status == 0)
    let number = try program.directory.text("work/pid").trimmingCharacters(in: .whitespacesAndNewlines)
    kill(try #require(pid_t(number)), SIGTERM)
    let ending = await running.ending()
    #expect(try program.directory.text("work/first").hasPrefix("{"))
    #expect(try program.directory.text("work/status") == "0\n", "\(ending.messages)")
    #expect(ending.lines.filter { $0.contains("its reader is gone") }.count == 1, "\(ending.messages)")
    #expect(try await program.run("verify", "tree", program.url("t")).status == 0)
  }

  @Test(
    .enabled(if: Program.bucket != nil, "needs a server"), arguments: ["</dev/null >&-", ">/dev/full"])
  func `an upload that cannot print does its work all the same`(_ redirection: String) async throws {
    let program = try Program()
    try program.directory.write("work/tree/file", "x")
    let ending = await
      (try program.start(
        ["upload", "tree", program.url("t"), "--json"], under: ["sh", "-c", "\"$0\" \"$@\" \(redirection)"]))
      .ending()
    #expect(ending.status == 0, "\(ending.messages)")
    #expect(ending.lines.filter { $0.contains("standard output cannot be written") }.count == 1)
    #expect(try await program.run("verify", "tree", program.url("t")).status == 0)
    // What is nothing but output fails with it.
    let listing = await
      (try program.start(
        ["ls", program.url("t")], under: ["sh", "-c", "\"$0\" \"$@\" \(redirection)"])).ending()
    #expect(listing.status == 1)
  }

  @Test(.enabled(if: Program.bucket != nil, "needs a server"))
  func `names are shown in text, and whole in JSON and pipes`() async throws {
    let program = try Program()
    let name = "a\n\u{1b}[31m\u{9b}\u{202e}b"
    let shown = "a\\n\\x1b[31m\\x9b\\u202eb"
    try program.directory.write("work/tree/\(name)", "x")
    let plan = try await program.run("upload", "tree", program.url("t"), "--dry-run")
    #expect(plan.output == "upload new \(shown)\n")
    let verification = try await program.run("verify", "tree", program.url("t"), "--json")
    #expect(verification.output.split(separator: "\n").count == 1)
    #expect(verification.output.contains("a\\n\\u001b[31m\\u009b\\u202eb"))
    #expect(try await program.run("upload", "tree", program.url("t"), "--verbose").messages.contains(shown))
    let log = try await program.run("log")
    #expect(log.output.contains(shown))
    #expect(!log.output.contains("\u{1b}"))
    #expect(try await program.run("ls", program.url("t")).output == program.url("t/\(name)") + "\n")
  }

  @Test func `a message is one line, whatever an argument holds`() async throws {
    let ending = try await Program().run("download", "no\nsuch/\u{1b}c")
    #expect(ending.status == 2)
    #expect(ending.lines.count == 1, "\(ending.messages)")
    #expect(ending.messages.contains("no\\nsuch/\\x1bc"))
  }

  // MARK: The first process of a container

  private static let namespace = [
    "unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc",
  ]
  private static let hasNamespaces = succeeds(namespace + ["true"])

  /// Has three processes orphaned, ends when no child is a zombie, or says after five seconds how many there are.
  private static let orphans = """
    for number in 1 2 3 4 5 6 7 8; do (sh -c 'exit 3' &); done
    for turn in $(seq 100); do
      zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z 1 ')
      [ "$zombies" = 0 ] && break
      sleep 0.05
    done
    echo "process $PPID, zombies $zombies"
    exit 7
    """

  @Test(.enabled(if: hasNamespaces, "needs leave to make PID namespaces (unshare --pid)"))
  func `as the first process of a container run takes orphans, and keeps its child's status`() async throws {
    let program = try Program()
    let ending = await
      (try program.start(
        ["run", "--download", "here=.", "--", "sh", "-c", Self.orphans], under: Self.namespace)).ending()
    #expect(ending.output == "process 1, zombies 0\n", "\(ending.messages)")
    #expect(ending.status == 7)
  }
}
