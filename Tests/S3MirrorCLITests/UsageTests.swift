import Foundation
import Glibc
import Testing

@testable import S3MirrorCLI

/// Bad input gives one clear line and status 2 or 3, and changes nothing.
@Suite struct UsageTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    var arguments: [String]
    var status: Int32 = 2
    /// Must be in the line.
    var part: String

    var testDescription: String { arguments.joined(separator: " ") }
  }

  static let mistakes: [Mistake] = [
    Mistake(arguments: ["bogus"], part: "bogus"),
    Mistake(arguments: ["upload"], part: "<local>"),
    Mistake(arguments: ["upload", "tree"], part: "<remote>"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--bogus"], part: "--bogus"),
    Mistake(arguments: ["upload", "tree", "gs://bucket/x"], part: "scheme"),
    Mistake(arguments: ["upload", "tree", "elsewhere"], part: "local path"),
    Mistake(arguments: ["upload", "tree", "s3:///x"], part: "bucket"),
    Mistake(arguments: ["upload", "nothing", "s3://bucket/x"], status: 3, part: "does not exist"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--exclude", "["], part: "["),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--max-workers", "0"], part: "--max-workers"),
    Mistake(
      arguments: ["upload", "tree", "s3://bucket/x", "--max-workers", "9223372036854775807"],
      part: "--max-workers"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--max-attempts", "0"], part: "--max-attempts"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--part-size", "4"], part: "--part-size"),
    Mistake(
      arguments: ["upload", "tree", "s3://bucket/x", "--multipart-threshold", "5121"],
      part: "--multipart-threshold"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--compare", "guess"], part: "--compare"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--symlinks", "eat"], part: "--symlinks"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--max-delete=-1"], part: "--max-delete"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--settle", "1e300"], part: "--settle"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--exit-timeout", "inf"], part: "--exit-timeout"),
    Mistake(
      arguments: ["upload", "tree", "s3://bucket/x", "--open-file-grace=-1"], part: "--open-file-grace"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--log-keep=-1"], part: "--log-keep"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--commit-last", "["], part: "["),
    Mistake(arguments: ["upload", "tree", "s3://nosuch@bucket/x"], status: 3, part: "nosuch"),
    Mistake(
      arguments: ["upload", "tree", "s3://bucket/x", "--endpoint-url", "http://192.0.2.1:1"], status: 3,
      part: "192.0.2.1"),
    Mistake(arguments: ["watch", "tree", "s3://bucket/x", "--interval=-1"], part: "--interval"),
    Mistake(arguments: ["watch", "tree", "s3://bucket/x", "--interval=1e300"], part: "--interval"),
    Mistake(
      arguments: ["run", "--restore", "a=s3://b/k,interval=5", "--", "true"],
      part: "the keys are local=, unit=, member-only=, exclude=, include="),
    Mistake(
      arguments: ["run", "--restore", "a=s3://b/k", "--upload", "a=s3://b/k", "--", "true"],
      part: "\"a\" is given twice"),
    Mistake(
      arguments: ["upload", "tree", "s3://bucket/x", "--max-workers", "0"],
      part: "--max-workers is auto, or from"),
    Mistake(
      arguments: ["upload", "tree", "s3://bucket/x", "--max-workers", "many"], part: "--max-workers"),
    Mistake(
      arguments: ["upload", "tree", "s3://bucket/x", "--keep-last", "1"], part: "--keep-last is 2 or more"),
    Mistake(arguments: ["upload", "tree", "s3://bucket/x", "--keep-every", "5"], part: "--keep-last"),
    Mistake(arguments: ["download"], part: "<remote>"),
    Mistake(arguments: ["download", "nothing"], part: "./nothing for a local path"),
    Mistake(arguments: ["download", "./nothing"], status: 3, part: "does not exist"),
    Mistake(arguments: ["download", "./nothing", "--dry-run"], status: 3, part: "does not exist"),
    Mistake(arguments: ["download", "./tree", "--exclude", "[", "--dry-run"], part: "["),
    Mistake(arguments: ["upload", "tree", "./elsewhere"], part: "is a local path"),
    Mistake(arguments: ["upload", "tree", "./elsewhere", "--dry-run"], part: "is a local path"),
    Mistake(arguments: ["upload", "tree", "/bucket/x", "--dry-run"], part: "is a local path"),
    Mistake(arguments: ["upload", "tree", "s3:/bucket/x"], part: "write s3://bucket/x"),
    Mistake(arguments: ["upload", "tree", "s3:/bucket/x", "--dry-run"], part: "write s3://bucket/x"),
    Mistake(arguments: ["verify", "tree", "./elsewhere"], part: "is a local path"),
    Mistake(arguments: ["download", "~other/x"], part: "s3://~other/x"),
    Mistake(arguments: ["download", "s3:/bucket/x"], part: "write s3://bucket/x"),
    Mistake(arguments: ["download", "s3://bucket/x", "s3://bucket/y"], part: "is a URL"),
    Mistake(arguments: ["download", "s3://bucket/x", ""], part: "empty"),
    Mistake(arguments: ["watch", "tree", "bucket/x"], part: "s3://bucket/x"),
    Mistake(arguments: ["watch", "tree", "bucket"], part: "s3://bucket"),
    Mistake(arguments: ["watch", "tree", "./bucket"], part: "nothing is sent"),
    Mistake(arguments: ["watch", "tree", "gs://bucket/x"], part: "scheme"),
    Mistake(arguments: ["watch", "tree", "file:/bucket/x"], part: "scheme"),
    Mistake(arguments: ["watch", "tree", ""], part: "empty"),
    Mistake(arguments: ["watch", "", "s3://bucket/x"], part: "empty"),
    Mistake(arguments: ["watch", "s3://bucket/x", "./tree"], part: "nothing is sent"),
    Mistake(arguments: ["watch", "s3://bucket/x", "s3://bucket/y"], part: "is a URL"),
    Mistake(arguments: ["upload", "tree", "s3:/bucket/x"], part: "write s3://bucket/x"),
    Mistake(arguments: ["upload", "tree", "s3:/bucket/x", "--dry-run"], part: "write s3://bucket/x"),
    Mistake(arguments: ["upload", "tree", "bucket/x", "--dry-run"], part: "s3://bucket/x"),
    Mistake(arguments: ["verify", "tree", "bucket/x"], part: "s3://bucket/x"),
    Mistake(arguments: ["verify", "tree", "./bucket/x"], part: "local path"),
    Mistake(arguments: ["ls", "bucket/x"], part: "s3://bucket/x"),
    Mistake(arguments: ["download", "s3://bucket/../etc"], part: "name a local path"),
    Mistake(arguments: ["ls"], part: "<remote>"),
    Mistake(arguments: ["ls", "tree"], part: "s3://"),
    Mistake(arguments: ["log", "--since", "yore"], part: "--since"),
    Mistake(arguments: ["log", "--log-dir", "nothing"], status: 3, part: "nothing"),
    Mistake(arguments: ["run", "--", "true"], part: "--upload"),
    Mistake(arguments: ["run", "--upload", "a=s3://bucket/x"], part: "-- COMMAND"),
    Mistake(arguments: ["run", "--upload", "a", "--", "true"], part: "name=s3://"),
    Mistake(
      arguments: ["run", "--upload", "a=s3://bucket/x,interval=soon", "--", "true"], part: "interval=soon"),
    Mistake(
      arguments: ["run", "--upload", "a=s3://bucket/x,local=./out,intervall=5", "--", "true"],
      part: "did you mean interval=?"),
    Mistake(arguments: ["run", "--upload", "a=bucket/x", "--", "true"], part: "s3://bucket/x"),
    Mistake(arguments: ["run", "--upload", "a=gs://bucket/x", "--", "true"], part: "scheme"),
    Mistake(arguments: ["run", "--upload", "a=s3:bucket/x", "--", "true"], part: "write s3://bucket/x"),
    Mistake(
      arguments: ["run", "--download", "a=s3://bucket/x,interval=1", "--", "true"], part: "no meaning"),
    Mistake(arguments: ["run", "--upload", "status=s3://bucket/x", "--", "true"], part: "status"),
    Mistake(
      arguments: ["run", "--upload", "a=s3://bucket/x", "--upload", "a=s3://bucket/y", "--", "true"],
      part: "given twice"),
    Mistake(
      arguments: ["run", "--upload", "a-b=s3://bucket/x", "--upload", "a_b=s3://bucket/y", "--", "true"],
      part: "S3MIRROR_A_B"),
    Mistake(
      arguments: ["run", "--upload", "a=s3://bucket/x", "--upload", "b=s3://bucket/x/y", "--", "true"],
      part: "overlap"),
    Mistake(
      arguments: ["run", "--upload", "a=s3://bucket/x", "--", "no-such-command"], status: 127,
      part: "no-such-command"),
    Mistake(
      arguments: ["run", "--upload", "a=s3://bucket/x", "--", "./no/such"], status: 127, part: "./no/such"),
    Mistake(
      arguments: ["run", "--upload", "a=s3://bucket/x", "--", "./tree/file"], status: 126, part: "tree/file"),
    Mistake(arguments: ["run", "--upload", "a=s3://bucket/x", "--", "./tree"], status: 126, part: "./tree"),
  ]

  @Test(arguments: mistakes)
  func `a mistake is one line on standard error`(_ mistake: Mistake) async throws {
    let program = try Program()
    try program.directory.write("work/tree/file", "x")
    let before = program.directory.everything()
    // Nobody listens there: what is wrong is found without asking.
    let nowhere = [
      "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
      "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
    ]
    let ending = await (try program.start(mistake.arguments, environment: nowhere)).ending()
    #expect(ending.status == mistake.status)
    #expect(ending.output.isEmpty)
    #expect(ending.lines.count == 1, "\(ending.messages)")
    #expect(ending.messages.hasPrefix("s3mirror: "))
    #expect(!ending.messages.contains("Error:"))
    #expect(ending.messages.contains(mistake.part), "\(ending.messages)")
    #expect(program.directory.everything().filter { !$0.hasPrefix("run/") } == before)
  }

  @Test(arguments: ["", "run", "watch", "upload", "download", "ls", "log"])
  func `help goes to standard output`(_ command: String) async throws {
    let arguments = command.isEmpty ? ["--help"] : [command, "--help"]
    let ending = await (try Program().start(arguments)).ending()
    #expect(ending.status == 0)
    #expect(ending.output.contains("USAGE: s3mirror"))
    #expect(ending.messages.isEmpty)
  }

  @Test func `the version is one line`() async throws {
    let ending = try await Program().run("--version")
    #expect(ending.status == 0)
    #expect(ending.output.split(separator: "\n").count == 1)
  }
}
