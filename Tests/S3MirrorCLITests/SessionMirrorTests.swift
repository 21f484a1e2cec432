import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// What a session does on S3, and that it is the same whatever becomes of its parent.
@Suite(.enabled(if: Program.bucket != nil)) struct SessionMirrorTests {
  private func upload(_ program: Program, _ members: String = #""interval": "none""#) -> String {
    #"{"name": "out", "kind": "upload", "remote": "\#(program.url("out"))", "local": "\#(program.directory["out"])", \#(members)}"#
  }

  private func entered(_ program: Program, _ members: String = #""interval": "none""#) async throws
    -> SessionProcess
  {
    let session = try SessionProcess(program)
    let entry = try await session.ask(1, "enter", #""specs": [\#(upload(program, members))]"#)
    #expect(entry.result?.paths == ["out": program.directory["out"]], "\(entry)")
    return session
  }

  private func objects(_ program: Program) async throws -> [String] {
    let ending = try await program.run("ls", "--recursive", program.url(""))
    return ending.output.split(separator: "\n").map { String($0.dropFirst(program.url("").count)) }
  }

  @Test func `a session flushes, tells its status, lists, takes more, and ends with a report`() async throws {
    let program = try Program()
    let session = try await entered(program)
    try program.directory.write("out/a", "x")
    #expect(try await session.ask(2, "flush", #""upload": "out""#).result?.flushed == ["out"])
    #expect(try await objects(program) == ["out/a"])
    let status = try await session.ask(3, "status").result?.status
    #expect(status?.phase == "running")
    #expect(status?.uploads.map(\.publishedFiles) == [1])
    let soFar = try await session.ask(9, "report").result?.report
    #expect(soFar?.isComplete == true)
    #expect(soFar?.uploads.map(\.published) == [1])
    let down = program.directory["down"]
    let added = try await session.ask(
      4, "add",
      #""spec": {"name": "more", "kind": "download", "remote": "\#(program.url("more"))", "local": "\#(down)"}"#
    )
    // A prefix with nothing below it is an error that says so.
    #expect(added.error?.request == "add")
    try program.directory.write("more/b", "y")
    let more = try await session.ask(
      5, "add",
      #""spec": {"name": "more", "kind": "upload", "remote": "\#(program.url("more"))", "local": "\#(program.directory["more"])"}"#
    )
    #expect(more.result?.path == program.directory["more"])
    #expect(try await session.ask(6, "flush").result?.flushed == ["more", "out"])
    _ = try await session.ask(7, "ls", #""remote": "\#(program.url(""))", "recursive": true"#)
    let listed = session.lines.filter { $0.id == 7 }.flatMap { $0.part?.lines ?? [] }.map(\.url)
    #expect(listed == [program.url("more/b"), program.url("out/a")])
    try program.directory.remove("out/a")
    try program.directory.write("out/c", "z")
    let report = try await session.ask(8, "end", #""body": "returned""#).result?.report
    #expect(report?.isComplete == true)
    #expect(report?.uploads.map(\.deleted) == [0, 1])
    #expect(try await session.ending() == 0)
    #expect(try await objects(program) == ["more/b", "out/c"])
  }

  @Test func `a body that threw deletes nothing`() async throws {
    let program = try Program()
    let session = try await entered(program)
    try program.directory.write("out/a", "x")
    _ = try await session.ask(2, "flush")
    try program.directory.remove("out/a")
    try program.directory.write("out/b", "y")
    #expect(try await session.ask(3, "end", #""body": "threw""#).result?.report?.isComplete == true)
    #expect(try await session.ending() == 0)
    #expect(try await objects(program) == ["out/a", "out/b"])
  }

  @Test(.promise("SES-1")) func `a pipe that is closed without an end is the end of a body that threw`()
    async throws
  {
    let program = try Program()
    let session = try await entered(program)
    try program.directory.write("out/a", "x")
    _ = try await session.ask(2, "flush")
    try program.directory.remove("out/a")
    try program.directory.write("out/b", "y")
    try session.closeRequests()
    #expect(try await session.ending() == 0)
    #expect(try await objects(program) == ["out/a", "out/b"])
  }

  @Test(.promise("SES-1")) func `the end of the parent is the end of a body that threw`() async throws {
    let program = try Program()
    let parent = Process()
    parent.executableURL = URL(fileURLWithPath: "/bin/sleep")
    parent.arguments = ["600"]
    try parent.start()
    let session = try SessionProcess(program, parent: parent.processIdentifier)
    _ = try await session.ask(1, "enter", #""specs": [\#(upload(program))]"#)
    try program.directory.write("out/a", "x")
    _ = try await session.ask(2, "flush")
    try program.directory.remove("out/a")
    try program.directory.write("out/b", "y")
    kill(parent.processIdentifier, SIGKILL)
    #expect(try await session.ending() == 0)
    #expect(try await objects(program) == ["out/a", "out/b"])
  }

  @Test func `an upload can be left as it is when the body threw`() async throws {
    let program = try Program()
    let session = try await entered(program, #""interval": "none", "onError": "skip""#)
    try program.directory.write("out/a", "x")
    _ = try await session.ask(2, "end", #""body": "threw""#)
    #expect(try await session.ending() == 0)
    #expect(try await objects(program).isEmpty)
  }

  @Test(.promise("SES-5")) func `an error of S3 comes with its fields`() async throws {
    let program = try Program()
    let session = try SessionProcess(program)
    let entry = try await session.ask(
      1, "enter",
      #""specs": [{"name": "out", "kind": "upload", "remote": "s3://no-such-bucket-here/x", "local": "\#(program.directory["out"])"}]"#
    )
    let error = try #require(entry.error)
    #expect(error.kind == "configuration")
    #expect(error.request == "enter")
    let fault = try #require(error.fault)
    #expect(fault.operation == "ListObjectsV2")
    #expect(fault.bucket == "no-such-bucket-here")
    #expect(fault.code == "NoSuchBucket")
    #expect(fault.status == 404)
    #expect(fault.requestID?.isEmpty == false)
    #expect(fault.remedy?.isEmpty == false)
    #expect(try await session.ending() == 3)
  }

  @Test(.promise("SES-5")) func `a flush names each path that could not be published`() async throws {
    let program = try Program()
    let session = try await entered(program)
    let name = String(repeating: "n", count: 250)
    let deep = [name, name, name, name, "file"].joined(separator: "/")
    try program.directory.write("out/\(deep)", "x")
    try program.directory.write("out/good", "x")
    let error = try #require(try await session.ask(2, "flush").error)
    #expect(error.kind == "incomplete")
    #expect(error.failures?.map(\.path) == [deep])
    #expect(error.failedFiles == 1)
    let soFar = try await session.ask(4, "report").result?.report
    #expect(soFar?.isComplete == false)
    #expect(soFar?.uploads.map(\.failedFiles) == [1])
    let report = try await session.ask(3, "end", #""body": "returned""#).result?.report
    #expect(report?.isComplete == false)
    #expect(report?.uploads.map(\.failedFiles) == [1])
    #expect(try await session.ending() == 1)
    #expect(try await objects(program) == ["out/good"])
  }

  @Test func `two sessions on one prefix are one too many`() async throws {
    let program = try Program()
    let first = try await entered(program)
    let second = try SessionProcess(program)
    let entry = try await second.ask(1, "enter", #""specs": [\#(upload(program))]"#)
    #expect(entry.error?.kind == "configuration")
    #expect(entry.error?.message.contains("another mirror on this host") == true)
    #expect(try await second.ending() == 3)
    #expect(try await first.ask(2, "flush").result != nil)
    _ = try await first.ask(3, "end", #""body": "returned""#)
    #expect(try await first.ending() == 0)
  }

  @Test func `an entry that is ended before it is over is interrupted, and leaves nothing`() async throws {
    let program = try Program()
    for number in 0..<200 { try program.directory.write("out/\(number)", "x") }
    let session = try SessionProcess(program)
    session.send(#"{"id": 1, "request": "enter", "specs": [\#(upload(program))]}"#)
    session.send(#"{"id": 2, "request": "end", "body": "threw"}"#)
    #expect(try await session.answer(2).result?.report != nil)
    #expect(try await session.answer(1).error?.kind == "interrupted")
    #expect(try await session.ending() == 0)
  }

  @Test func `an end that is abandoned is soon over`() async throws {
    let program = try Program()
    let session = try SessionProcess(program)
    // A rate at which the end would take hours.
    _ = try await session.ask(
      1, "enter", #""options": {"maxUploadBytesPerSecond": 1000}, "specs": [\#(upload(program))]"#)
    try program.directory.write("out/large", String(repeating: "x", count: 20 << 20))
    session.send(#"{"id": 2, "request": "end", "body": "returned"}"#)
    _ = try await session.ask(3, "status")
    session.send(#"{"id": 4, "request": "abandon"}"#)
    let report = try await session.answer(2).result?.report
    #expect(report?.isComplete == false)
    #expect(try await session.ending() == 1)
  }

  @Test func `events come when they are asked for`() async throws {
    let program = try Program()
    let session = try SessionProcess(program)
    _ = try await session.ask(
      1, "enter", #""events": ["transferred"], "progress": 0.01, "specs": [\#(upload(program))]"#)
    try program.directory.write("out/a", String(repeating: "x", count: 1 << 20))
    _ = try await session.ask(2, "flush")
    _ = try await session.line("the file is told of") { $0.event == "transferred" }
    _ = try await session.line("the progress is told of") { $0.event == "progress" }
    #expect(session.lines.allSatisfy { [nil, "transferred", "progress"].contains($0.event) })
    _ = try await session.ask(3, "end", #""body": "returned""#)
    #expect(try await session.ending() == 0)
  }
}
