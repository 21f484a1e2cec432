import Foundation
import Glibc
import S3Mirror
import TestSupport
import Testing

@testable import S3MirrorCLI

/// A session with a mirror that sends nothing: what lines are answered with, and how it ends.
@Suite struct SessionTests {
  private func entered(_ program: Program) async throws -> SessionProcess {
    let session = try SessionProcess(program)
    let entry = try await session.ask(
      1, "enter", #""specs": [{"name": "out", "kind": "upload", "remote": "\#(program.directory["out"])"}]"#)
    #expect(entry.result?.paths == ["out": program.directory["out"]])
    return session
  }

  @Test func `the first line is a hello with both versions`() async throws {
    let session = try SessionProcess(try Program())
    let hello = try #require(try await session.line("it says hello") { $0.hello != nil }.hello)
    #expect(hello.protocol == SessionHello.protocolVersion)
    #expect(hello.version == s3MirrorVersion)
    #expect(hello.pid == session.identifier)
    #expect(session.lines.first?.hello != nil)
    try session.closeRequests()
    #expect(try await session.ending() == 0)
  }

  @Test(.promise("SES-4")) func `a session leads a process group of its own`() async throws {
    let session = try SessionProcess(try Program())
    _ = try await session.line("it says hello") { $0.hello != nil }
    #expect(getpgid(session.identifier) == session.identifier)
    try session.closeRequests()
    #expect(try await session.ending() == 0)
  }

  @Test(
    .promise("SES-2"),
    arguments: [
      ("{", "no JSON"), ("[]", "an object"), ("{}", "no id"), (#"{"id": 7}"#, "names no request"),
      (#"{"id": 7, "request": "sing"}"#, "\"sing\" is no request; there is enter"),
      (#"{"id": 7, "request": "flush", "uplaod": "out"}"#, "did you mean upload?"),
      (#"{"id": 7, "request": "end", "body": "fell"}"#, "\"returned\" or \"threw\""),
      (#"{"id": 7, "request": "add", "spec": {"name": "a", "kind": "upload"}}"#, "spec: remote is missing"),
      (
        #"{"id": 7, "request": "add", "spec": {"kind": "download", "remote": "./x", "interval": 1}}"#,
        "no meaning for a download"
      ),
      (#"{"id": 7, "request": "enter"}"#, "entered already"),
    ]) func `a line that is no request is answered, and the session goes on`(
      _ line: String, _ complaint: String
    )
    async throws
  {
    let session = try await entered(try Program())
    session.send(line)
    let answer = try await session.line("the line is answered") { $0.error != nil }
    #expect(answer.error?.kind == "protocol")
    #expect(answer.error?.message.contains(complaint) == true, "\(answer)")
    #expect(answer.id == (line.contains("7") ? 7 : nil))
    #expect(try await session.ask(8, "paths").result?.paths?.count == 1)
    #expect(try await session.ask(9, "end", #""body": "returned""#).result?.report?.isComplete == true)
    #expect(try await session.ending() == 0)
  }

  @Test func `a line that is not UTF-8, or longer than a mebibyte, is answered, and the next one counts`()
    async throws
  {
    let session = try await entered(try Program())
    session.send([0xFF, 0xFE, UInt8(ascii: "\n")])
    _ = try await session.line("it is refused") { $0.error?.message.contains("not UTF-8") == true }
    session.send(String(repeating: "x", count: SessionChannel.longestLine + 1))
    _ = try await session.line("it is refused") { $0.error?.message.contains("longer than") == true }
    // The longest that is taken.
    let request = #"{"id": 2, "request": "paths""#
    session.send(
      request + String(repeating: " ", count: SessionChannel.longestLine - request.utf8.count - 1) + "}")
    #expect(try await session.answer(2).result?.paths?.count == 1)
    try session.closeRequests()
    #expect(try await session.ending() == 0)
  }

  @Test func `requests before the entry are refused`() async throws {
    let session = try SessionProcess(try Program())
    #expect(try await session.ask(1, "flush").error?.message.contains("entered first") == true)
    #expect(try await session.ask(2, "end", #""body": "threw""#).result?.report?.uploads.isEmpty == true)
    #expect(try await session.ending() == 0)
  }

  @Test func `an option that makes no sense is refused by name, and the session can be entered yet`()
    async throws
  {
    let session = try SessionProcess(try Program())
    let wrong = try await session.ask(1, "enter", #""options": {"maxWorkers": 0}"#)
    #expect(wrong.error?.kind == "invalid")
    #expect(wrong.error?.message.contains("maxWorkers") == true)
    let unknown = try await session.ask(2, "enter", #""options": {"maxWorker": 1}"#)
    #expect(unknown.error?.message.contains("did you mean maxWorkers?") == true)
    let group = try await session.ask(
      4, "enter", #""options": {"group": {"name": "job", "member": 2, "members": 2}}"#)
    #expect(group.error?.message.contains("the members of a group of 2 are 0 to 1") == true)
    let word = try await session.ask(5, "enter", #""options": {"group": "job"}"#)
    #expect(word.error?.message.contains("\"auto\"") == true)
    #expect(try await session.ask(3, "enter").result?.paths == [:])
    try session.closeRequests()
    #expect(try await session.ending() == 0)
  }

  @Test func `an entry that fails is answered with its kind, and ends the session`() async throws {
    let session = try SessionProcess(try Program())
    let entry = try await session.ask(
      1, "enter", #""specs": [{"name": "in", "kind": "download", "remote": "/nowhere/at/all"}]"#)
    #expect(entry.error?.kind == "local")
    #expect(try await session.ending() == 3)
  }

  @Test func `an end that is asked for twice is one end`() async throws {
    let session = try await entered(try Program())
    session.send(#"{"id": 2, "request": "end", "body": "returned"}"#)
    session.send(#"{"id": 3, "request": "end", "body": "returned"}"#)
    #expect(try await session.answer(2).result?.report != nil)
    #expect(try await session.ending() == 0)
    #expect(session.lines.allSatisfy { $0.id != 3 || $0.error?.kind == "interrupted" })
  }

  @Test(.promise("SES-3"))
  func `a reader that never reads is read no further, and gets every answer when it reads`()
    async throws
  {
    let program = try Program()
    let session = try SessionProcess(program, readsAnswers: false)
    session.send(
      #"{"id": 0, "request": "enter", "specs": [{"name": "out", "kind": "upload", "remote": "\#(program.directory["out"])"}]}"#
    )
    try await eventually("it is entered") { program.directory.exists("out") }
    // Each answer repeats the name, so few are many bytes.
    let name = String(repeating: "n", count: 3000)
    var sent: Int64 = 0
    var sleeps = 0
    try await eventually("the session sleeps while requests wait in its pipe") {
      let before = sent
      while sent < 20_000, session.offer(#"{"id": \#(sent + 1), "request": "\#(name)"}"#) { sent += 1 }
      // Several times, because a thread may have been about to wake another.
      sleeps = try sent == before && session.isAsleep() ? sleeps + 1 : 0
      return sent == 20_000 || sleeps == 3
    }
    #expect(sent < 20_000)
    session.read()
    _ = try await session.answer(sent)
    let answered = session.lines.compactMap { $0.error == nil ? nil : $0.id }
    #expect(answered == Array(1...sent))
    try session.closeRequests()
    #expect(try await session.ending() == 0)
  }

  @Test(.promise("SES-1")) func `the end of the parent ends a session whose pipe another process holds open`()
    async throws
  {
    let parent = Process()
    parent.executableURL = URL(fileURLWithPath: "/bin/sleep")
    parent.arguments = ["600"]
    try parent.start()
    let session = try SessionProcess(try Program(), parent: parent.processIdentifier)
    _ = try await session.line("it says hello") { $0.hello != nil }
    kill(parent.processIdentifier, SIGKILL)
    // This process holds both pipes.
    #expect(try await session.ending() == 0)
  }

  @Test func `a parent that is gone already is the end`() async throws {
    let parent = Process()
    parent.executableURL = URL(fileURLWithPath: "/bin/true")
    try parent.start()
    parent.waitUntilExit()
    let session = try SessionProcess(try Program(), parent: parent.processIdentifier, readsAnswers: false)
    #expect(try await session.ending() == 0)
  }

  @Test(.promise("SES-4")) func `the first signal leaves the session to its parent, the second ends it`()
    async throws
  {
    let session = try await entered(try Program())
    session.signal(SIGTERM)
    #expect(try await session.ask(2, "paths").result != nil)
    // Two of one kind within a moment are one.
    session.signal(SIGINT)
    #expect(try await session.ending() == 128 + SIGINT)
  }

  @Test func `descriptors that are not there are a usage error`() async throws {
    let program = try Program()
    let ending = try await program.run("session", "--read-fd", "77", "--write-fd", "78", "--parent", "1")
    #expect(ending.status == 2)
    #expect(ending.lines.count == 1)
  }
}
