import Foundation
import S3Mirror
import TestSupport
import Testing

@testable import S3MirrorCLI

/// `watch --config FILE` watches many.
@Suite struct WatchConfigurationTests {
  private func read(_ text: String) throws -> WatchConfiguration {
    let directory = try TemporaryDirectory()
    try directory.write("outputs.json", text)
    return try WatchConfiguration(path: directory["outputs.json"])
  }

  @Test func `an upload has a name, a local and a remote side, and what else it says`() throws {
    let configuration = try read(
      """
      {"uploads": [
        {"name": "a", "local": "/a", "remote": "s3://b/a"},
        {"name": "b", "local": "~/b", "remote": "s3://b/b", "interval": 0.5, "delete": true, "exclude": ["*.tmp"],
         "include": ["*"], "storageClass": "STANDARD_IA", "sse": "aws:kms", "sseKMSKeyID": "k", "acl": "private",
         "tags": {"t": "1"}, "metadata": {"m": "2"}, "contentType": "none", "requesterPays": true,
         "expectedBucketOwner": "123456789012"},
        {"name": "c", "local": "/c", "remote": "s3://b/c", "interval": "none"}]}
      """)
    #expect(configuration.uploads.map(\.name) == ["a", "b", "c"])
    #expect(configuration.uploads[0].interval == nil)
    #expect(configuration.uploads[0].delete == nil)
    let full = configuration.uploads[1]
    #expect(full.local == "~/b")
    #expect(full.interval == .seconds(0.5))
    #expect(full.delete == true)
    #expect(full.tags == ["t": "1"])
    #expect(full.contentType == ObjectProperties.ContentType.none)
    #expect(full.expectedBucketOwner == "123456789012")
    #expect(configuration.uploads[2].interval == WatchConfiguration.Interval.none)
  }

  @Test func `a relative path is relative to the file`() throws {
    let directory = try TemporaryDirectory()
    try directory.write("deep/outputs.json", #"{"uploads":[{"name":"a","local":"out","remote":"s3://b/a"}]}"#)
    let configuration = try WatchConfiguration(path: directory["deep/outputs.json"])
    #expect(configuration.uploads.map(\.local) == [directory["deep/out"]])
  }

  @Test func `the file may be a pipe, as a shell's <(...) is`() throws {
    let pipe = Pipe.makePrivate()
    let text = #"{"uploads":[{"name":"a","local":"/out","remote":"s3://b/a"}]}"#
    try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    try pipe.fileHandleForWriting.close()
    let configuration = try WatchConfiguration(
      path: "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")
    #expect(configuration.uploads.map(\.local) == ["/out"])
  }

  @Test(arguments: [
    ("", "no JSON"), ("[]", "object"), ("{}", "uploads is missing"), (#"{"uploads": []}"#, "empty"),
    (#"{"uploads": [], "upload": []}"#, "upload: unknown key"),
    (#"{"uploads": [{"name": "a", "local": "a"}]}"#, "uploads[0]: remote is missing"),
    (
      #"{"uploads": [{"name": "a", "local": "a", "remote": "s3://b/a", "intervall": 1}]}"#,
      "uploads[0].intervall: unknown key; did you mean interval?"
    ),
    (
      #"{"uploads": [{"name": "a", "local": "a", "remote": "s3://b/a", "interval": "soon"}]}"#,
      "uploads[0].interval: it is a number"
    ),
    (
      #"{"uploads": [{"name": "a", "local": "a", "remote": "s3://b/a", "interval": -1}]}"#,
      "uploads[0].interval: it is a number"
    ),
    (
      #"{"uploads": [{"name": "a", "local": "a", "remote": "s3://b/a", "delete": "yes"}]}"#,
      "uploads[0].delete: it must be true or false"
    ),
    (
      #"{"uploads": [{"name": 1, "local": "a", "remote": "s3://b/a"}]}"#, "uploads[0].name: it must be a text"
    ),
    (#"{"uploads": [{"name": "a", "local": "a", "remote": "s3://b/a", "sse": "rot13"}]}"#, "uploads[0].sse"),
    (
      #"{"uploads": [{"name": "a", "local": "a", "remote": "s3://b/a", "exclude": "*"}]}"#,
      "uploads[0].exclude: it must be an array"
    ),
    (#"{"uploads": [{"name": "a", "local": "a" 1"#, "it is no JSON: line 1, column 41"),
    ("{\"uploads\": [\n  01]}", "line 2, column 4"), ("{\"a\": \"\\x\"}", "line 1, column 9"),
    ("[tru]", "line 1, column 5"), ("[1.]", "column 4"), ("[1,]", "column 4"), ("{} {}", "column 4"),
    (String(repeating: "[", count: 1000), "no JSON"), ("[\"a", "column 4"), ("\u{FEFF}[", "column 2"),
    ("\u{FEFF}{}", "uploads is missing"),
  ])
  func `what is wrong is said with its place`(_ text: String, _ part: String) throws {
    let error = #expect(throws: MirrorError.self) { try read(text) }
    #expect(error?.kind == .configuration)
    #expect(error?.message.contains("outputs.json: ") == true)
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
  }

  // MARK: The command

  @Test(.enabled(if: Program.bucket != nil))
  func `one process watches what the file lists, each at its interval`() async throws {
    let program = try Program()
    for name in ["slow", "quick"] { try program.directory.makeDirectory("work/etc/\(name)") }
    try program.directory.write(
      "work/etc/outputs.json",
      """
      {"uploads": [
        {"name": "slow", "local": "slow", "remote": "\(program.url("slow"))", "interval": "none"},
        {"name": "quick", "local": "quick", "remote": "\(program.url("quick"))", "interval": 0, "delete": true}]}
      """)
    let running = try program.start([
      "watch", "--config", "etc/outputs.json", "--settle", "0.01", "--verbose", "--storage-class",
      "STANDARD_IA",
    ])
    #expect(await running.says("slow: entry:"))
    #expect(await running.says("quick: entry:"))
    try program.directory.write("work/etc/slow/file", "x")
    try program.directory.write("work/etc/quick/file", "x")
    #expect(await running.says(": 1 file, 1 B published"))
    #expect(try await program.run("ls", program.url("slow")).status == 3)
    #expect(try await program.run("flush", "slow").status == 0)
    #expect(try await program.run("ls", program.url("slow")).output == program.url("slow/file") + "\n")
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
  }

  @Test(
    .enabled(if: Program.bucket != nil),
    arguments: [
      (
        #"{"name":"a","local":"x","remote":"s3://bucket/a"},{"name":"a","local":"y","remote":"s3://bucket/b"}"#,
        "given twice"
      ),
      (
        #"{"name":"a","local":"x","remote":"s3://bucket/a"},{"name":"b","local":"x/y","remote":"s3://bucket/b"}"#,
        "share local files"
      ),
      (#"{"name":"a","local":"x","remote":"s3://bucket/a","acl":"mine"}"#, "canned ACL"),
    ])
  func `what does not go together is found before anything is made`(_ uploads: String, _ part: String)
    async throws
  {
    let program = try Program()
    try program.directory.write("work/outputs.json", "{\"uploads\": [\(uploads)]}")
    let ending = try await program.run("watch", "--config", "outputs.json")
    #expect(ending.status == 2)
    #expect(ending.lines.count == 1)
    #expect(ending.messages.contains(part), "\(ending.messages)")
    #expect(program.directory.everything().filter { $0.hasPrefix("work/") } == ["work/outputs.json"])
  }
}
