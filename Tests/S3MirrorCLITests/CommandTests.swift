import Foundation
import Glibc
import HTTPTransport
import S3Client
import TestSupport
import Testing

@testable import S3MirrorCLI

/// The commands against a real server.
@Suite(.enabled(if: Program.bucket != nil)) struct CommandTests {
  // MARK: upload, download, ls

  @Test func `upload, ls and download`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "one")
    try program.directory.write("work/tree/deep/b", "two")
    let upload = try await program.run("upload", "tree", program.url("t"))
    #expect(upload.status == 0)
    #expect(upload.output.isEmpty)
    let level = try await program.run("ls", program.url("t"))
    #expect(level.output == "\(program.url("t/a"))\n\(program.url("t/deep/"))\n")
    let all = try await program.run("ls", "-r", program.url("t"))
    #expect(all.output == "\(program.url("t/a"))\n\(program.url("t/deep/b"))\n")
    let download = try await program.run("download", program.url("t"), "back")
    #expect(download.status == 0)
    #expect(download.output == program.directory["work/back"] + "\n")
    #expect(try program.directory.text("work/back/deep/b") == "two")
  }

  @Test func `ls --json tells url, bytes and lastModified`() async throws {
    struct Line: Decodable {
      var url: String
      var bytes: Int64?
      var lastModified: String?
    }
    let program = try Program()
    try program.directory.write("work/tree/a", "one")
    _ = try await program.run("upload", "tree", program.url("t"))
    let ending = try await program.run("ls", "--json", program.url("t"))
    let line = try JSONDecoder().decode(Line.self, from: Data(ending.output.utf8))
    #expect(line.url == program.url("t/a"))
    #expect(line.bytes == 3)
    #expect(line.lastModified?.hasSuffix("Z") == true)
  }

  @Test func `what is not there is status 3`() async throws {
    let program = try Program()
    for command in ["ls", "download"] {
      let ending = try await program.run(command, program.url("nothing"))
      #expect(ending.status == 3)
      #expect(ending.lines.count == 1)
      #expect(ending.messages.contains(program.url("nothing")))
    }
  }

  @Test func `a bucket that is missing, and a wrong secret, are status 3 and one line`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "one")
    let commands: [[String]] = [
      ["ls", "REMOTE"], ["ls", "-r", "REMOTE"], ["verify", "tree", "REMOTE"], ["upload", "tree", "REMOTE"],
      ["upload", "tree", "REMOTE", "--dry-run"], ["download", "REMOTE", "back"],
      ["download", "REMOTE", "back", "--dry-run"],
    ]
    func run(_ command: [String], _ remote: String, _ environment: [String: String] = [:]) async throws
      -> Program.Ending
    {
      let arguments = command.map { $0 == "REMOTE" ? remote : $0 }
      return await (try program.start(arguments, environment: environment)).ending()
    }
    for command in commands {
      let missing = try await run(command, "s3://no-such-bucket-here/x")
      #expect(missing.status == 3, "\(command)")
      #expect(missing.lines.count == 1, "\(command): \(missing.messages)")
      #expect(missing.messages.contains("create the bucket"), "\(command): \(missing.messages)")
      let wrong = try await run(command, program.url("t"), ["AWS_SECRET_ACCESS_KEY": "wrong"])
      #expect(wrong.status == 3, "\(command)")
      #expect(wrong.lines.count == 1, "\(command): \(wrong.messages)")
      #expect(wrong.messages.contains("check "), "\(command): \(wrong.messages)")
      #expect(!wrong.messages.contains("wrong"))
    }
  }

  @Test func `an upload deletes only with --delete, and a withheld delete is status 1`() async throws {
    let program = try Program()
    for index in 0..<12 { try program.directory.write("work/tree/\(index)", "x") }
    #expect(try await program.run("upload", "tree", program.url("t")).status == 0)
    for index in 1..<12 { try program.directory.remove("work/tree/\(index)") }
    #expect(try await program.run("upload", "tree", program.url("t")).status == 0)
    let withheld = try await program.run("upload", "tree", program.url("t"), "--delete", "--quiet")
    #expect(withheld.status == 1)
    #expect(withheld.lines.count == 1)
    #expect(withheld.messages.contains("--max-delete"))
    let ending = try await program.run(
      "upload", "tree", program.url("t"), "--delete", "--max-delete", "none", "--quiet")
    #expect(ending.status == 0)
    #expect(ending.messages.isEmpty)
    #expect(try await program.run("ls", program.url("t")).output == program.url("t/0") + "\n")
  }

  @Test func `--quiet tells why a download's status is 1`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    #expect(try await program.run("upload", "tree", program.url("t")).status == 0)
    for index in 0..<12 { try program.directory.write("work/tree/\(index)", "x") }
    let withheld = try await program.run("download", program.url("t"), "tree", "--delete", "--quiet")
    #expect(withheld.status == 1)
    #expect(withheld.lines.count == 1)
    #expect(withheld.messages.contains("12 local deletes withheld"))
  }

  @Test func `a message shows control characters of a name, and sends none to the terminal`() async throws {
    let program = try Program()
    // ESC ]0; sets a terminal's title (console_codes(4)).
    let ending = try await program.run("upload", "\u{1b}]0;title\u{7}", program.url("t"))
    #expect(ending.status == 3)
    #expect(ending.messages.contains("\\x1b]0;title\\x07 does not exist"), "\(ending.messages)")
  }

  @Test func `skipped links are status 0, a file that cannot be a key is status 1`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    try program.directory.link("work/tree/link", to: "nowhere")
    #expect(try await program.run("upload", "tree", program.url("t")).status == 0)
    // 205 names of 4 letters and a slash: 1,025 bytes and more, over S3's 1,024.
    let deep = Array(repeating: "name", count: 205).joined(separator: "/")
    try program.directory.write("work/tree/" + deep, "x")
    let ending = try await program.run("upload", "tree", program.url("t"), "--quiet")
    #expect(ending.status == 1)
    #expect(ending.messages.contains("1,024"))
  }

  @Test func `output that cannot be written is status 1 and one line`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    _ = try await program.run("upload", "tree", program.url("t"))
    let full = Process()
    full.executableURL = URL(fileURLWithPath: "/bin/bash")
    full.arguments = ["-c", "\"$0\" ls \"$1\" >/dev/full", Program.executable.path, program.url("t")]
    let ending = await (try Running(full)).ending()
    #expect(ending.status == 1)
    #expect(ending.lines.count == 1)
  }

  // MARK: --json

  @Test func `--json prints events, a line each, and nothing else`() async throws {
    struct Line: Decodable {
      var event: String
      var path: String?
      var bytes: Int64?
      var published: Int?
      var local: String?
      var kind: String?
    }
    let program = try Program()
    try program.directory.write("work/tree/a", "one")
    func lines(_ ending: Program.Ending) throws -> [Line] {
      try ending.output.split(separator: "\n").map {
        try JSONDecoder().decode(Line.self, from: Data($0.utf8))
      }
    }
    let upload = try await program.run("upload", "tree", program.url("t"), "--json")
    #expect(upload.messages.isEmpty)
    let events = try lines(upload)
    #expect(events.map(\.event) == ["transferred", "pass", "ended"])
    #expect(events.first?.path == "a" && events.first?.bytes == 3)
    #expect(events.last?.published == 1)
    let download = try lines(try await program.run("download", program.url("t"), "back", "--json"))
    #expect(download.map(\.event) == ["transferred", "downloaded", "downloaded"])
    #expect(download.last?.local == program.directory["work/back"])
  }

  // MARK: log

  @Test func `log shows what happened, filtered and summed up`() async throws {
    let program = try Program()
    for name in ["a", "b"] { try program.directory.write("work/tree/\(name)", "x") }
    _ = try await program.run("upload", "tree", program.url("t"), "--name", "mine")
    let all = try await program.run("log")
    #expect(all.status == 0)
    #expect(all.output.contains(" a\n") && all.output.contains(" b\n"))
    let one = try await program.run("log", "--key", "a", "--json")
    #expect(one.output.split(separator: "\n").count == 1)
    #expect(try await program.run("log", "--failed").output.isEmpty)
    #expect(try await program.run("log", "--since", "1h", "--mirror", "mine").output == all.output)
    #expect(try await program.run("log", "--summary").output.contains("upload"))
  }

  // MARK: run

  @Test func `run hands out paths, keeps the status, and publishes`() async throws {
    let program = try Program()
    try program.directory.write("work/in/a", "data")
    _ = try await program.run("upload", "in", program.url("in"))
    let ending = try await program.run(
      "run", "--quiet", "--download", "my-data=\(program.url("in")),local=data", "--upload",
      "out=\(program.url("out")),local=out", "--", "sh", "-c",
      "cat \"$S3MIRROR_MY_DATA/a\" > \"$1/copy\"; echo \"$1\" \"$0\"", "{my-data}", "{out}")
    #expect(ending.status == 0)
    #expect(ending.output == "\(program.directory["work/out"]) \(program.directory["work/data"])\n")
    #expect(try await program.run("ls", program.url("out")).output == program.url("out/copy") + "\n")
  }

  @Test(arguments: [Int32(1), 7, 255])
  func `a child that fails keeps its status, is published, and nothing is deleted`(_ status: Int32)
    async throws
  {
    let program = try Program()
    try program.directory.write("work/out/old", "x")
    _ = try await program.run("upload", "out", program.url("out"))
    let ending = try await program.run(
      "run", "--upload", "out=\(program.url("out")),local=out,delete=true", "--", "sh", "-c",
      "rm out/old; echo > out/new; exit \(status)")
    #expect(ending.status == status)
    let keys = try await program.run("ls", program.url("out")).output
    #expect(keys == "\(program.url("out/new"))\n\(program.url("out/old"))\n")
  }

  @Test func `a child that a signal killed is 128 and its number`() async throws {
    let program = try Program()
    let ending = try await program.run(
      "run", "--upload", "out=\(program.url("out")),local=out", "--", "sh", "-c", "kill -KILL $$")
    #expect(ending.status == 128 + SIGKILL)
  }

  @Test func `a failed entry starts no child`() async throws {
    let program = try Program()
    let ending = try await program.run(
      "run", "--download", "data=\(program.url("nothing"))", "--upload",
      "out=\(program.url("out")),local=out", "--", "touch", "started")
    #expect(ending.status == 3)
    #expect(ending.lines.count == 1)
    #expect(!program.directory.exists("work/started"))
  }

  @Test func `a signal is passed on to the child, whose status is kept`() async throws {
    let program = try Program()
    let running = try program.start([
      "run", "--upload", "out=\(program.url("out")),local=out", "--", "bash", "-c",
      "trap 'echo caught > out/signal; exit 5' TERM; echo ready >&2; while :; do read -t 1 < <(:); done",
    ])
    #expect(await running.says("ready"))
    running.send(SIGTERM)
    let ending = await running.ending()
    #expect(ending.status == 5)
    #expect(try await program.run("ls", program.url("out")).output == program.url("out/signal") + "\n")
  }

  @Test(.promise("END-6"))
  func `after a second signal the run waits for a stubborn child, at rest`() async throws {
    let program = try Program()
    let running = try program.start([
      "run", "--upload", "out=\(program.url("out")),local=out,interval=0", "--", "sh", "-c",
      "trap '' TERM INT; echo ready >&2; sleep 3; echo over >&2; until [ -e leave ]; do sleep 0.1; done",
    ])
    #expect(await running.says("ready"))
    let before = try Self.processorTicks(of: running.identifier)
    running.send(SIGTERM)
    running.send(SIGINT)
    #expect(await running.says("over"))
    // A lane that spins takes three seconds, or its share of two processors.
    #expect(try Self.processorTicks(of: running.identifier) - before < 30)
    try program.directory.write("work/leave", "")
    #expect(await running.ending().status == 128 + SIGINT)
  }

  /// User's and system's, in hundredths of a second (proc_pid_stat(5), 14 and 15).
  private static func processorTicks(of process: pid_t) throws -> Int {
    let text = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
    // The name, in parentheses, may hold spaces.
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    try #require(fields.count > 12)
    return try #require(Int(fields[11])) + #require(Int(fields[12]))
  }

  @Test func `an upload says that it goes on after the first signal, and leaves at the second`() async throws
  {
    let program = try Program()
    try program.directory.write("work/tree/a", "x")
    // A minute of work, of which the test waits for none.
    try program.directory.write("work/tree/large", String(repeating: "x", count: 6 << 20))
    let running = try program.start([
      "upload", "tree", program.url("t"), "--verbose", "--max-upload-rate", "100K",
    ])
    #expect(await running.says("upload a"))
    running.send(SIGINT)
    #expect(await running.says("a second signal leaves at once"))
    running.send(SIGTERM)
    #expect(await running.ending().status == 128 + SIGTERM)
  }

  /// What becomes of a multipart upload that is cut short.
  enum Cut: String, Sendable, CaseIterable {
    case secondSignal
    case exitTimeout
  }

  @Test(.promise("XFER-2", "END-3"), arguments: Cut.allCases)
  func `a second signal aborts multipart uploads, the exit timeout leaves them for the next run`(cut: Cut)
    async throws
  {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    // Minutes of work, of which the test waits for none.
    let running = try program.start([
      "watch", "tree", program.url("t"), "--interval", "0", "--settle", "0.01", "--multipart-threshold", "5",
      "--part-size", "5", "--max-upload-rate", "100K", "--exit-timeout", cut == .exitTimeout ? "0.1" : "60",
    ])
    #expect(await running.says("watch: entry:"))
    try program.directory.write("work/tree/large", String(repeating: "x", count: 11 << 20))
    let server = try #require(ServerUnderTest.fromEnvironment)
    let client = try CurlClient()
    let bucket = server.bucket(over: client)
    func unfinished() async throws -> Int {
      let page = try await bucket.send(ListMultipartUploads(prefix: "\(program.prefix)/", after: nil))
      return page.uploads.count
    }
    try await eventually("a multipart upload is open") { try await unfinished() > 0 }
    running.send(SIGTERM)
    if cut == .secondSignal {
      #expect(await running.says("a second signal leaves at once"))
      running.send(SIGINT)
      #expect(await running.ending().status == 128 + SIGINT)
      #expect(try await unfinished() == 0)
    } else {
      #expect(await running.ending().status == 1)
      #expect(try await unfinished() == 1)
    }
    await client.close()
  }

  // MARK: watch

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func `watch publishes until the first signal, and what is left at it`(_ signal: Int32) async throws {
    let program = try Program()
    try program.directory.write("work/tree/before", "x")
    let running = try program.start(["watch", "tree", program.url("t"), "--interval", "3600"])
    #expect(await running.says("watch: entry:"))
    try program.directory.write("work/tree/after", "x")
    running.send(signal)
    let ending = await running.ending()
    #expect(ending.status == 0, "\(ending.messages)")
    let keys = try await program.run("ls", program.url("t")).output
    #expect(keys == "\(program.url("t/after"))\n\(program.url("t/before"))\n")
  }

  @Test func `under nohup a hangup ends neither watch nor run's child`() async throws {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    let running = try program.start(
      [
        "run", "--upload", "out=\(program.url("t")),local=tree", "--", "sh", "-c",
        "kill -HUP $PPID $$; echo > tree/lives",
      ],
      under: ["nohup"])
    #expect(await running.ending().status == 0)
    #expect(try await program.run("ls", program.url("t")).output == program.url("t/lives") + "\n")
  }

  @Test func `the child's status is known where whoever started us ignores SIGCHLD`() async throws {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    let running = try program.start(
      ["run", "--upload", "out=\(program.url("t")),local=tree", "--", "sh", "-c", "exit 7"],
      under: ["sh", "-c", "trap '' CHLD; exec \"$0\" \"$@\""])
    #expect(await running.ending().status == 7)
  }

  @Test func `with interval 0 a change is published at once`() async throws {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    let running = try program.start([
      "watch", "tree", program.url("t"), "--interval", "0", "--settle", "0.01", "--verbose",
    ])
    #expect(await running.says("watch: entry:"))
    try program.directory.write("work/tree/new", "x")
    #expect(await running.says("watch: tick 1: 1 file"))
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
  }

  @Test func `a second mirror on the same remote is status 3`() async throws {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    let running = try program.start(["watch", "tree", program.url("t"), "--verbose"])
    #expect(await running.says("watch: entry:"))
    let second = try await program.run("upload", "tree", program.url("t"))
    #expect(second.status == 3)
    #expect(second.lines.count == 1)
    #expect(second.messages.contains("another mirror"))
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
  }
}
