import Foundation
import HTTPTransport
import S3Client
import TestSupport
import Testing

@testable import S3MirrorCLI

/// `verify` and `--dry-run` against a real server. They report, and change nothing.
@Suite(.enabled(if: Program.bucket != nil)) struct InspectionTests {
  private let program: Program

  init() throws {
    program = try Program()
  }

  /// One file of each fate: published together, then changed here.
  private func prepare(_ names: [String] = ["same", "size", "content", "gone", "deep/same"]) async throws {
    for name in names { try program.directory.write("work/tree/\(name)", "12345") }
    #expect(try await program.run("upload", "tree", program.url("t"), "--quiet").status == 0)
    try program.directory.remove("work/tree/gone")
    try program.directory.write("work/tree/size", "1234567")
    try program.directory.write("work/tree/content", "54321")
    try program.directory.write("work/tree/new", "123")
    try program.directory.remove("state")
  }

  /// What a run could have touched: objects with their dates, files with their times, logs.
  private func everything() async throws -> [String] {
    let objects = try await program.run("ls", "-r", "--json", program.url("t")).output
    let files = try program.directory.everything().map { name in
      let attributes = try FileManager.default.attributesOfItem(atPath: program.directory[name])
      return "\(name) \(attributes[.modificationDate] ?? "") \(attributes[.size] ?? "")"
    }
    return objects.split(separator: "\n").map(String.init) + files
  }

  private struct Planned: Decodable, Hashable {
    var event: String
    var action: String
    var path: String
    var bytes: Int64?
    var reason: String
  }

  private func planned(_ ending: Program.Ending) throws -> Set<Planned> {
    Set(
      try ending.output.split(separator: "\n").map {
        try JSONDecoder().decode(Planned.self, from: Data($0.utf8))
      })
  }

  // MARK: verify

  @Test func `verify tells each difference in a line, and is status 1`() async throws {
    try await prepare()
    let before = try await everything()
    let ending = try await program.run("verify", "tree", program.url("t"))
    #expect(ending.status == 1)
    #expect(ending.output == "content content\nmissing new\nsize size\nextra gone\n")
    #expect(ending.lines == ["s3mirror: 5 files compared, 4 differences"])
    let json = try await program.run("verify", "tree", program.url("t"), "--json", "--quiet")
    #expect(json.status == 1)
    #expect(json.messages.isEmpty)
    #expect(json.output.split(separator: "\n").first == #"{"difference":"content","path":"content"}"#)
    #expect(json.output.split(separator: "\n").count == 4)
    #expect(try await everything() == before)
  }

  @Test func `verify is status 0 where both sides are the same`() async throws {
    for name in ["a", "deep/b", "caf\u{e9} +%"] { try program.directory.write("work/tree/\(name)", name) }
    _ = try await program.run("upload", "tree", program.url("t"))
    let ending = try await program.run("verify", "tree", program.url("t"))
    #expect(ending.status == 0)
    #expect(ending.output.isEmpty)
    #expect(ending.lines == ["s3mirror: 3 files compared, 0 differences"])
    let one = try await program.run("verify", "tree/a", program.url("t/a"), "--quiet")
    #expect(one.status == 0)
    #expect(one.messages.isEmpty)
  }

  @Test func `what is excluded is not verified`() async throws {
    try await prepare()
    let ending = try await program.run(
      "verify", "tree", program.url("t"), "--exclude", "/size", "--exclude", "gone", "--exclude", "new")
    #expect(ending.output == "content content\n")
  }

  @Test
  func `an object of parts is proved by their digest, and unproved where that does not fit until it is read`()
    async throws
  {
    try program.directory.write("work/tree/parts", "12345")
    let key = program.prefix + "/t/parts"
    try await placeWithoutChecksum(key, Array("12345".utf8))
    #expect(try await program.run("verify", "tree", program.url("t")).status == 0)
    try await placeWithoutChecksum(key, Array("12346".utf8))
    let unproved = try await program.run("verify", "tree", program.url("t"))
    #expect(unproved.status == 1)
    #expect(unproved.output == "unproved parts\n")
    let read = try await program.run("verify", "tree", program.url("t"), "--read")
    #expect(read.status == 1)
    #expect(read.output == "content parts\n")
  }

  @Test func `a local side that is not there is status 3`() async throws {
    let ending = try await program.run("verify", "nothing", program.url("t"))
    #expect(ending.status == 3)
    #expect(ending.lines.count == 1)
    #expect(ending.output.isEmpty)
  }

  /// As a multipart upload of another tool leaves it: its ETag is no MD5.
  private func placeWithoutChecksum(_ key: String, _ bytes: [UInt8]) async throws {
    let server = try #require(ServerUnderTest.fromEnvironment)
    let client = try CurlClient()
    let bucket = server.bucket(over: client)
    let uploadID = try await bucket.send(CreateMultipartUpload(key: key)).uploadID
    let part = try await bucket.send(
      UploadPart(key: key, uploadID: uploadID, number: 1, body: BytesBody(bytes)))
    _ = try await bucket.send(
      CompleteMultipartUpload(key: key, uploadID: uploadID, parts: [.init(number: 1, etag: part.etag)]))
    await client.close()
  }

  // MARK: --dry-run

  @Test func `an upload's plan tells what and why, and touches nothing`() async throws {
    try await prepare()
    let before = try await everything()
    let ending = try await program.run("upload", "tree", program.url("t"), "--dry-run", "--delete")
    #expect(ending.status == 0)
    #expect(ending.output == "upload content content\nupload new new\nupload size size\ndelete extra gone\n")
    #expect(ending.messages.contains("3 uploads and 0 downloads (15 B), 1 delete, 0 withheld, 0 refused"))
    let json = try await program.run("upload", "tree", program.url("t"), "--dry-run", "--json")
    #expect(json.messages.isEmpty)
    #expect(
      try planned(json) == [
        Planned(event: "planned", action: "upload", path: "content", bytes: 5, reason: "content"),
        Planned(event: "planned", action: "upload", path: "new", bytes: 3, reason: "new"),
        Planned(event: "planned", action: "upload", path: "size", bytes: 7, reason: "size"),
      ])
    #expect(try await everything() == before)
    // What was planned is what happens.
    let carriedOut = try await program.run("upload", "tree", program.url("t"), "--delete", "--quiet")
    #expect(carriedOut.status == 0)
    #expect(try await program.run("verify", "tree", program.url("t")).status == 0)
    #expect(
      try await program.run("upload", "tree", program.url("t"), "--dry-run", "--delete", "-q").output.isEmpty)
  }

  @Test func `what the guard would withhold, or S3 refuse, is planned as such, and is status 1`() async throws
  {
    try await prepare(["gone", "content", "size"])
    let withheld = try await program.run(
      "upload", "tree", program.url("t"), "--dry-run", "--delete", "--max-delete", "0", "--json")
    #expect(withheld.status == 1)
    let delete = try #require(try planned(withheld).first { $0.path == "gone" })
    #expect(delete.action == "withhold" && delete.reason.contains("--max-delete"))
    // 205 names of 4 letters and a slash: 1,025 bytes and more, over S3's 1,024.
    let deep = Array(repeating: "name", count: 205).joined(separator: "/")
    try program.directory.write("work/tree/" + deep, "x")
    let refused = try await program.run("upload", "tree", program.url("t"), "--dry-run", "--json")
    #expect(refused.status == 1)
    let upload = try #require(try planned(refused).first { $0.path == deep })
    #expect(upload.action == "refuse" && upload.reason.contains("1,024"))
  }

  @Test func `a download's plan tells what and why, and touches nothing`() async throws {
    try await prepare()
    let before = try await everything()
    let ending = try await program.run("download", program.url("t"), "tree", "--dry-run", "--delete")
    #expect(ending.status == 0)
    let lines = [
      "download content content", "download new gone", "download size size", "delete-local extra new",
    ]
    #expect(ending.output == lines.map { $0 + "\n" }.joined())
    let json = try await program.run(
      "download", program.url("t"), "tree", "--dry-run", "--delete", "--max-delete", "0", "--json")
    #expect(json.status == 1)
    let actions = try planned(json)
    #expect(
      actions.contains(
        Planned(event: "planned", action: "download", path: "gone", bytes: 5, reason: "new")))
    #expect(actions.filter { $0.action == "withhold" }.map(\.path) == ["new"])
    #expect(try await everything() == before)
  }

  @Test func `a download's plan makes no directory`() async throws {
    try await prepare()
    let ending = try await program.run("download", program.url("t"), "elsewhere", "--dry-run")
    #expect(ending.status == 0)
    #expect(ending.output.split(separator: "\n").count == 5)
    #expect(!program.directory.exists("work/elsewhere"))
    #expect(!program.directory.exists("state"))
  }

  @Test func `a file that is named is planned, whatever is excluded`() async throws {
    try program.directory.write("work/tree/a", "12345")
    let arguments = ["upload", "tree/a", program.url("t/a"), "--exclude", "a"]
    #expect(try await program.start(arguments + ["--dry-run"]).ending().output == "upload new a\n")
    #expect(try await program.start(arguments).ending().status == 0)
    #expect(try await program.start(arguments + ["--dry-run"]).ending().output.isEmpty)
  }

  // MARK: --delete-if-match

  @Test func `what somebody else wrote since stays with --delete-if-match`() async throws {
    for name in ["ours", "theirs", "kept"] { try program.directory.write("work/tree/\(name)", "1") }
    try program.directory.write("work/theirs", "other")
    let running = try program.start([
      "run", "--delete-if-match", "--upload", "out=\(program.url("t")),local=tree,delete=true,interval=none",
      "--", "sh", "-c",
      "\"$0\" upload theirs \(program.url("t/theirs")) -q && rm tree/ours tree/theirs",
      Program.executable.path,
    ])
    let ending = await running.ending()
    #expect(ending.status == 1, "\(ending.messages)")
    #expect(ending.messages.contains("another writer put it there"), "\(ending.messages)")
    let keys = try await program.run("ls", program.url("t")).output
    #expect(keys == "\(program.url("t/kept"))\n\(program.url("t/theirs"))\n")
  }
}
