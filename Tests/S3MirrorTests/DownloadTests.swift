import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Downloads: which keys become which files, and what is deleted here.
@Suite struct DownloadTests {
  private func download(
    _ stage: Stage, _ key: String, to local: String? = "data", delete: Bool = false,
    _ change: (inout Options) -> Void = { _ in }
  ) async throws -> String {
    let spec = MirrorSpec.download(stage.url(key), local: local.map { stage.local($0) }, delete: delete)
    return try await stage.mirror(["data": spec], change) { mirror in try mirror.data.string }
  }

  private func files(_ stage: Stage, in directory: String) -> [String] {
    stage.directory.everything().filter { $0.hasPrefix(directory + "/") }
      .map { String($0.dropFirst(directory.count + 1)) }
  }

  @Test(arguments: Stage.Kind.available)
  func `an object goes to the path itself, or into a directory`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try await stage.put("dir/model.bin", "weights")
      #expect(try await download(stage, "dir/model.bin", to: "plain") == stage.local("plain"))
      #expect(try stage.directory.text("plain") == "weights")
      #expect(try await download(stage, "dir/model.bin", to: "into/") == stage.local("into/model.bin"))
      try stage.directory.makeDirectory("there")
      #expect(try await download(stage, "dir/model.bin", to: "there") == stage.local("there/model.bin"))
      let cached = "cache/\(stage.bucket)/\(stage.prefix)dir/model.bin"
      #expect(try await download(stage, "dir/model.bin", to: nil) == stage.local(cached))
      #expect(try stage.directory.text(cached) == "weights")
    }
  }

  @Test(.promise("DOWN-1"))
  func `the object wins over the prefix of its name, and a slash asks for the prefix`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("x", "object")
      try await stage.put("x/below", "prefix")
      _ = try await download(stage, "x", to: "one")
      #expect(try stage.directory.text("one") == "object")
      _ = try await download(stage, "x/", to: "two")
      #expect(files(stage, in: "two") == ["below"])
    }
  }

  @Test func `a remote that is neither an object nor a prefix is reported, and nothing is made`() async throws
  {
    try await Stage.play { stage async throws in
      let error = await #expect(throws: MirrorError.self) { _ = try await download(stage, "nothing") }
      #expect(error?.kind == .local)
      #expect(error?.message.contains("nothing") == true)
      #expect(!stage.directory.exists("data"))
    }
  }

  @Test(.promise("DOWN-8"))
  func `only files that are missing or have changed are fetched`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/a", "one")
      try await stage.put("data/b", "two")
      _ = try await download(stage, "data")
      await stage.fake.forgetCalls()
      try await stage.put("data/b", "TWO")
      _ = try await download(stage, "data")
      #expect(await stage.fake.count(of: GetObject.name) == 1)
      #expect(try stage.directory.text("data/b") == "TWO")
    }
  }

  @Test(.promise("DOWN-3"))
  func `keys that have no safe path are refused by name, and the rest goes on`() async throws {
    try await Stage.play { stage async throws in
      let long = String(repeating: "n", count: 256)
      let unsafe = ["../climbs", "a/../../climbs", "./dot", "double//slash", "/leading", long]
      for key in unsafe + ["good"] { try await stage.put("data/" + key, "x") }
      let error = await #expect(throws: MirrorError.self) { _ = try await download(stage, "data") }
      #expect(error?.kind == .incomplete)
      #expect(error?.failures.count == unsafe.count)
      for key in unsafe {
        #expect(error?.failures.contains { $0.path.hasSuffix(key) && $0.reason.contains("refused") } == true)
      }
      #expect(files(stage, in: "data") == ["good"])
      #expect(!stage.directory.exists("climbs"))
    }
  }

  @Test func `an object and objects below its name are a conflict, and none of them is fetched`() async throws
  {
    try await Stage.play { stage async throws in
      for key in ["a", "a/b", "c"] { try await stage.put("data/" + key, "x") }
      let error = await #expect(throws: MirrorError.self) { _ = try await download(stage, "data") }
      #expect(error?.failures.map(\.path) == ["a"])
      #expect(files(stage, in: "data") == ["a", "a/b", "c"])
      #expect(try stage.directory.text("data/a/b") == "x")
    }
  }

  @Test func `an object whose name is a directory here is a failure, and the directory stays`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/a", "x")
      try await stage.put("data/b", "x")
      try stage.directory.write("data/a/mine", "x")
      let error = await #expect(throws: MirrorError.self) { _ = try await download(stage, "data") }
      #expect(error?.failures.map(\.path) == ["a"])
      #expect(files(stage, in: "data") == ["a", "a/mine", "b"])
    }
  }

  @Test(.promise("DOWN-3"))
  func `a symbolic link is neither followed nor replaced`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/link", "x")
      try await stage.put("data/sub/file", "x")
      try stage.directory.makeDirectory("data")
      try stage.directory.write("outside/victim", "mine")
      try stage.directory.link("data/link", to: stage.local("outside/victim"))
      try stage.directory.link("data/sub", to: stage.local("outside"))
      let error = await #expect(throws: MirrorError.self) { _ = try await download(stage, "data") }
      #expect(error?.failures.map(\.path).sorted() == ["link", "sub/file"])
      #expect(try stage.directory.text("outside/victim") == "mine")
      #expect(files(stage, in: "outside") == ["victim"])
    }
  }

  @Test(.promise("DIR-1"))
  func `zero-byte keys that end in a slash are directories, not files`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/empty/", "")
      try await stage.put("data/a", "x")
      _ = try await download(stage, "data")
      #expect(files(stage, in: "data") == ["a", "empty"])
      let fetched = stage.events.all.contains { event in
        if case .downloaded(_, let files, _, _) = event { files == 1 } else { false }
      }
      #expect(fetched)
    }
  }

  @Test(.promise("DIR-3"))
  func `a key that ends in a slash and has content is refused by name, and the rest goes on`()
    async throws
  {
    try await Stage.play { stage async throws in
      for (key, text) in [("data/e/", "content"), ("data/e/below", "x"), ("data/", "root"), ("data/a", "x")] {
        try await stage.put(key, text)
      }
      let error = await #expect(throws: MirrorError.self) { _ = try await download(stage, "data") }
      #expect(error?.failures.map { String($0.path.dropFirst(stage.prefix.count)) } == ["data/", "data/e/"])
      #expect(error?.failures.allSatisfy { $0.reason.contains("content") } == true)
      #expect(files(stage, in: "data") == ["a", "e", "e/below"])
    }
  }

  @Test func `a download with delete removes nothing while such a key is refused`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/e/", "content")
      try await stage.put("data/a", "x")
      try stage.directory.write("data/mine", "x")
      _ = await #expect(throws: MirrorError.self) { _ = try await download(stage, "data", delete: true) }
      #expect(stage.directory.exists("data/mine"))
    }
  }

  @Test func `a directory marker whose name is a file here is a failure, and the rest goes on`() async throws
  {
    try await Stage.play { stage async throws in
      try await stage.put("data/a/", "")
      try await stage.put("data/b", "x")
      try stage.directory.write("data/a", "mine")
      let error = await #expect(throws: MirrorError.self) { _ = try await download(stage, "data") }
      #expect(error?.failures.map(\.path) == ["a"])
      #expect(try stage.directory.text("data/b") == "x")
      #expect(try stage.directory.text("data/a") == "mine")
    }
  }

  // MARK: Local deletes

  @Test func `delete removes what is not on S3, and only with delete`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/kept", "x")
      try stage.directory.write("data/kept", "x")
      try stage.directory.write("data/mine", "x")
      _ = try await download(stage, "data")
      #expect(files(stage, in: "data") == ["kept", "mine"])
      _ = try await download(stage, "data", delete: true)
      #expect(files(stage, in: "data") == ["kept"])
    }
  }

  @Test(.promise("DEL-16"))
  func `the same bound holds for local deletes`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/kept", "x")
      for index in 0..<11 { try stage.directory.write("data/\(index)", "x") }
      _ = try await download(stage, "data", delete: true)
      #expect(files(stage, in: "data").count == 12)
      #expect(stage.events.notices.contains { $0.contains("11 local deletes withheld") })
      #expect(stage.events.notices.contains { $0.contains("11 of 11 files would go") })
      _ = try await download(stage, "data", delete: true, { $0.maxDelete = .unlimited })
      #expect(files(stage, in: "data") == ["kept"])
    }
  }

  @Test(.promise("DOWN-11"))
  func `a missing remote is an error, not an empty one`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("data/mine", "x")
      await #expect(throws: MirrorError.self) { _ = try await download(stage, "gone/", delete: true) }
      #expect(files(stage, in: "data") == ["mine"])
    }
  }

  @Test(.promise("DEL-16"))
  func `nothing is deleted after a file that could not be fetched`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/a", "x")
      try await stage.put("data/../b", "x")
      try stage.directory.write("data/mine", "x")
      await #expect(throws: MirrorError.self) { _ = try await download(stage, "data", delete: true) }
      #expect(files(stage, in: "data") == ["a", "mine"])
    }
  }

  // MARK: Listings

  @Test func `a listing of one level names an object and a prefix of the same name`() async throws {
    try await Stage.play { stage async throws in
      for key in ["x", "x/a", "x/b/c", "xy"] { try await stage.put(key, "1") }
      try await stage.mirror([:]) { mirror async throws in
        #expect(try await mirror.ls(stage.url("x")) == [stage.url("x"), stage.url("x/")])
        #expect(
          try await mirror.ls(stage.url("x"), depth: .recursive)
            == [stage.url("x"), stage.url("x/a"), stage.url("x/b/c")])
        #expect(try await mirror.ls(stage.url("x/")) == [stage.url("x/a"), stage.url("x/b/")])
        #expect(try await mirror.ls(stage.url("xy")) == [stage.url("xy")])
        await #expect(throws: MirrorError.self) { try await mirror.ls(stage.url("z")) }
        #expect(try await mirror.ls(stage.url("z/")).isEmpty)
      }
    }
  }
}
