import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// A run, a plan and a verification take their places from one resolver.
@Suite struct SpecResolverTests {
  private static func plan(
    _ specs: [(name: String, spec: MirrorSpec)], of run: Inspection.PlannedRun = .scope, on stage: Stage,
    _ change: (inout Options) -> Void = { _ in }
  ) async throws -> [String] {
    try await stage.inspect(change) { inspection in
      var lines: [String] = []
      try await inspection.plan(specs, of: run) { lines.append($0.description) }
      return lines
    }
  }

  private static func verify(
    _ local: String, against remote: String, on stage: Stage, _ change: (inout Options) -> Void = { _ in }
  ) async throws -> [String] {
    try await stage.inspect(change) { inspection in
      var lines: [String] = []
      _ = try await inspection.verify(local, against: remote, exclude: [], include: [], reading: .never) {
        lines.append("\($0.kind.rawValue) \($0.path)")
      }
      return lines
    }
  }

  // MARK: The tool's own folders

  @Test(arguments: ["out/log", "out/deep/[logs] 1", "alias/log"])
  func `a transfer log below the root is neither planned nor missing`(log: String) async throws {
    try await Stage.play { stage async throws in
      try stage.directory.makeDirectory("out")
      try stage.directory.link("alias", to: "out")
      try stage.directory.write("out/a", "x")
      try stage.directory.write("\(log)/s3mirror-1.jsonl.gz", "x")
      func logs(_ options: inout Options) { options.logDirectory = stage.local(log) }
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), delete: true)
      #expect(try await Self.plan([("up", spec)], of: .uploadOnce, on: stage, logs) == ["upload new a"])
      _ = try await stage.uploadOnce(spec, logs)
      #expect(try await stage.keys() == ["out/a"])
      #expect(try await Self.verify(stage.local("out"), against: stage.url("out"), on: stage, logs) == [])
    }
  }

  @Test func `a download with delete keeps the transfer log below its root, as its plan says`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/a", "x")
      try stage.directory.write("here/log/s3mirror-1.jsonl.gz", "x")
      try stage.directory.write("here/mine", "x")
      func logs(_ options: inout Options) { options.logDirectory = stage.local("here/log") }
      let spec = MirrorSpec.download(stage.url("data"), local: stage.local("here"), delete: true)
      #expect(
        try await Self.plan([("down", spec)], on: stage, logs) == [
          "download new a", "delete-local extra mine",
        ])
      try await stage.mirror(["down": spec], logs) { _ in }
      #expect(stage.directory.exists("here/log/s3mirror-1.jsonl.gz"))
      #expect(!stage.directory.exists("here/mine"))
    }
  }

  /// Locks, sockets, evidence and logs of a whole home directory.
  @Test(.promise("CHG-2"))
  func `no file of the mirror itself is published`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("file", "x")
      let spec = MirrorSpec.upload(stage.url("all"), local: stage.directory.path, interval: nil)
      func control(_ options: inout Options) { options.controlSocket = true }
      #expect(try await Self.plan([("all", spec)], on: stage, control) == ["upload new file"])
      try await stage.mirror(["all": spec], control) { _ in }
      #expect(try await stage.keys() == ["all/file"])
    }
  }

  @Test func `a folder of the tool is published if it is the root`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("log/s3mirror-1.jsonl.gz", "x")
      let spec = MirrorSpec.upload(stage.url("logs"), local: stage.local("log"))
      let lines = try await Self.plan([("logs", spec)], of: .uploadOnce, on: stage) {
        $0.logDirectory = stage.local("log")
      }
      #expect(lines == ["upload new s3mirror-1.jsonl.gz"])
    }
  }

  // MARK: Faults

  @Test func `a plan ends with the error with which the run ends`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("file", "x")
      try stage.directory.makeDirectory("out")
      try stage.directory.link("nowhere", to: "missing")
      try #require(mkfifo(stage.local("pipe"), 0o600) == 0)
      let up = MirrorSpec.upload(stage.url("out"), local: stage.local("out"))
      let faults: [[(name: String, spec: MirrorSpec)]] = [
        [("a", up), ("b", .upload(stage.url("out/below"), local: stage.local("other")))],
        [("a", up), ("b", .upload(stage.url("other"), local: stage.local("out/below")))],
        [("a", up), ("a", .upload(stage.url("other"), local: stage.local("other")))],
        [("flush", up)], [("", up)],
        [("a", .download(stage.local("absent")))],
        [("a", .download(stage.local("out"), exclude: ["["]))],
        [("a", .upload(stage.url("x"), local: stage.local("out"), interval: .seconds(-1)))],
        [("a", .upload(stage.url("x"), local: stage.local("file/below")))],
        [("a", .download(stage.url("x"), local: stage.local("file/below")))],
        [("a", .upload(stage.url("x"), local: stage.local("nowhere")))],
        [("a", .upload(stage.url("x"), local: stage.local("pipe")))],
        [("a", .upload(stage.url("x"), local: ""))], [("a", .upload("gs://bucket/x"))],
        [("a", .upload("s3:/b/x"))],
        [("a", .upload("s3://no-such-bucket/x", local: stage.local("out")))],
        [("a", .download(stage.url("nothing"), local: stage.local("out")))],
      ]
      for specs in faults {
        let planned = await #expect(throws: MirrorError.self, "\(specs)") {
          _ = try await Self.plan(specs, on: stage)
        }
        let scope = try stage.scope()
        let run = await #expect(throws: MirrorError.self, "\(specs)") { try await scope.enter(specs) }
        _ = await scope.exit(.threw)
        #expect(planned == run, "\(specs)")
      }
      #expect(try await stage.keys() == [])
    }
  }

  @Test func `a local remote is used in place by the plan of a scope, and refused by that of an upload`()
    async throws
  {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      let spec = MirrorSpec.upload(stage.local("elsewhere"), local: stage.local("out"))
      #expect(try await Self.plan([("a", spec)], on: stage) == [])
      let planned = await #expect(throws: MirrorError.self) {
        _ = try await Self.plan([("a", spec)], of: .uploadOnce, on: stage)
      }
      let run = await #expect(throws: MirrorError.self) { _ = try await stage.uploadOnce(spec) }
      #expect(planned == run)
      #expect(planned?.kind == .invalid)
      #expect(!stage.directory.exists("elsewhere"))
    }
  }

  // MARK: Roots

  @Test(.promise("LINK-6"), arguments: Options.Symlinks.allCases)
  func `a link to a file that is named is published under its own name`(symlinks: Options.Symlinks)
    async throws
  {
    try await Stage.play { stage async throws in
      try stage.directory.write("store/run-7.bin", "weights")
      try stage.directory.link("best", to: "store/run-7.bin")
      func links(_ options: inout Options) { options.symlinks = symlinks }
      let spec = MirrorSpec.upload(stage.url("out/"), local: stage.local("best"))
      #expect(try await Self.plan([("up", spec)], of: .uploadOnce, on: stage, links) == ["upload new best"])
      _ = try await stage.uploadOnce(spec, links)
      #expect(try await stage.keys() == ["out/best"])
      #expect(try await stage.text("out/best") == "weights")
      #expect(try await Self.verify(stage.local("best"), against: stage.url("out/"), on: stage, links) == [])
    }
  }

  @Test func `a scope's upload of a missing directory withholds the deletes of all objects`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("out/a", "x")
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("new"), interval: nil)
      let lines = try await Self.plan([("up", spec)], on: stage)
      #expect(!stage.directory.exists("new"))
      try await stage.mirror(["up": spec]) { _ in }
      let withheld = try #require(stage.events.report(of: "up")?.withheld.first)
      #expect(lines == ["withhold \(withheld.path): \(withheld.reason)"])
    }
  }

  // MARK: Syncs

  @Test func `a sync's plan deletes what was deleted here since an earlier run`() async throws {
    try await Stage.play { stage async throws in
      for key in ["a", "b"] { try await stage.put("run/\(key)", "x") }
      let spec = MirrorSpec.sync(stage.url("run"), local: stage.local("tree"), interval: nil)
      try await stage.mirror(["run": spec]) { _ in }
      try stage.directory.remove("tree/a")
      #expect(try await Self.plan([("run", spec)], on: stage) == ["delete extra a"])
      try await stage.mirror(["run": spec]) { _ in }
      #expect(try await stage.keys() == ["run/b"])
    }
  }

  @Test func `a sync of one file that is not on S3 yet is a first run`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("tree/ckpt", "x")
      let spec = MirrorSpec.sync(stage.url("run/ckpt"), local: stage.local("tree/ckpt"), interval: nil)
      #expect(try await Self.plan([("run", spec)], on: stage) == ["upload new ckpt"])
      try await stage.mirror(["run": spec]) { _ in }
      #expect(try await stage.keys() == ["run/ckpt"])
      try await stage.mirror(["run": spec]) { _ in }
    }
  }

  /// What would be uploaded lies below the object's own name, and is never what was downloaded.
  @Test(.promise("DOWN-12"))
  func `a sync of one object into a directory is refused, by its plan too`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("run/ckpt", "x")
      try stage.directory.write("tree/other", "x")
      let spec = MirrorSpec.sync(stage.url("run/ckpt"), local: stage.local("tree"), interval: nil)
      let planned = await #expect(throws: MirrorError.self) {
        _ = try await Self.plan([("run", spec)], on: stage)
      }
      let run = await #expect(throws: MirrorError.self) { try await stage.mirror(["run": spec]) { _ in } }
      #expect(planned == run)
      #expect(planned?.message.contains("is one object") == true)
      #expect(try await stage.keys() == ["run/ckpt"])
    }
  }

  @Test(.promise("DEL-17"))
  func `a sync whose download is not complete plans no upload`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("run/../climb", "x")
      try stage.directory.write("tree/new", "x")
      let spec = MirrorSpec.sync(stage.url("run"), local: stage.local("tree"), interval: nil)
      let lines = try await Self.plan([("run", spec)], on: stage)
      #expect(lines.last == "refuse .: nothing is uploaded, since not everything can be downloaded")
      await #expect(throws: MirrorError.self) { try await stage.mirror(["run": spec]) { _ in } }
      #expect(try await stage.keys() == ["run/../climb"])
    }
  }

  @Test(.promise("DOWN-13"))
  func `a file whose name is a directory on S3 is refused by the plan`() async throws {
    try await Stage.play { stage async throws in
      for key in ["data/a/", "data/b/x", "data/c"] { try await stage.put(key) }
      for name in ["a", "b"] { try stage.directory.write("here/\(name)", "x") }
      let spec = MirrorSpec.download(stage.url("data"), local: stage.local("here"))
      let lines = try await Self.plan([("down", spec)], on: stage)
      #expect(lines.map { $0.prefix { $0 != ":" } } == ["refuse a", "refuse b/x", "download new c"])
      #expect(lines.prefix(2).allSatisfy { $0.contains("cannot create the directory") })
      let error = await #expect(throws: MirrorError.self) { try await stage.mirror(["down": spec]) { _ in } }
      #expect(error?.failures.map(\.path).sorted() == ["a", "b/x"])
    }
  }
}
