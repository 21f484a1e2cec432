import Glibc
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// The scope, from entry to exit.
@Suite struct ScopeTests {
  private struct Trouble: Error, Equatable {}

  @Test(arguments: Stage.Kind.available)
  func `downloads are complete when the body starts, uploads when it has ended`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try await stage.put("data/a", "one")
      try await stage.put("data/deep/b", "two")
      try stage.directory.write("out/before", "early")
      let result = try await stage.mirror([
        "dataset": .download(stage.url("data")),
        "checkpoints": .upload(stage.url("out"), local: stage.local("out"), interval: nil),
      ]) { mirror async throws in
        #expect(try mirror.dataset.string == stage.local("cache/\(stage.bucket)/\(stage.prefix)data"))
        #expect(try stage.directory.text("cache/\(stage.bucket)/\(stage.prefix)data/deep/b") == "two")
        #expect(try await stage.text("out/before") == "early")
        try stage.directory.write("out/step-1/weights", "heavy")
        return "done"
      }
      #expect(result == "done")
      #expect(try await stage.keys() == ["data/a", "data/deep/b", "out/before", "out/step-1/weights"])
      #expect(try await stage.text("out/step-1/weights") == "heavy")
    }
  }

  @Test(.promise("DOWN-9"), arguments: Stage.Kind.available)
  func `sync downloads first, and a later local file wins`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try await stage.put("run/old", "from S3")
      try await stage.put("run/both", "from S3")
      try stage.directory.write("tree/both", "written here, later")
      try await stage.mirror([
        "run": .sync(stage.url("run"), local: stage.local("tree"), interval: nil)
      ]) { mirror async throws in
        #expect(try stage.directory.text("tree/old") == "from S3")
        #expect(try stage.directory.text("tree/both") == "written here, later")
        try stage.directory.write("tree/new", "x")
      }
      #expect(try await stage.keys() == ["run/both", "run/new", "run/old"])
      #expect(try await stage.text("run/both") == "written here, later")
    }
  }

  @Test(.promise("END-6"))
  func `an upload that is cut short before it has begun sends nothing`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      let scope = try stage.scope()
      await stage.fake.hold { call in if call.ordinal == 1 { scope.abandon() } }
      await #expect(throws: CancellationError.self) {
        try await scope.uploadOnce(.upload(stage.url("out"), local: stage.local("out")), name: "once")
      }
      await scope.close()
      #expect(await stage.fake.calls.map(\.operation) == [ListObjectsV2.name])
    }
  }

  /// No request comes after the last look for a signal.
  @Test func `an upload that is cut short before its first request sends nothing`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      let scope = try stage.scope()
      scope.abandon()
      await #expect(throws: CancellationError.self) {
        try await scope.uploadOnce(.upload(stage.url("out"), local: stage.local("out")), name: "once")
      }
      await scope.close()
      #expect(await stage.fake.count(of: PutObject.name) == 0)
    }
  }

  /// Of the object alone, and of the prefix that it lies under.
  @Test(.promise("DOWN-9"), arguments: [(remote: "run/ckpt", local: "tree/ckpt"), ("run", "tree")])
  func `a sync keeps a file newer than its object, even if the server's clock is ahead`(
    remote: String, local: String
  ) async throws {
    let minuteAhead: @Sendable () -> Int64 = { FakeClock.system() + 60_000_000_000 }
    try await Stage.play(clock: minuteAhead) { stage async throws in
      try await stage.put("run/ckpt", "from S3")
      try stage.directory.write("tree/ckpt", "written here, later")
      let spec = MirrorSpec.sync(stage.url(remote), local: stage.local(local), interval: nil)
      try await stage.mirror(["run": spec]) { _ async throws in
        #expect(try stage.directory.text("tree/ckpt") == "written here, later")
      }
      #expect(try await stage.text("run/ckpt") == "written here, later")
    }
  }

  @Test(.promise("DOWN-11"))
  func `a sync whose prefix is empty is a first run`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["run": .sync(stage.url("run"), local: stage.local("tree"))]) {
        mirror async throws in
        try stage.directory.write("tree/first", "x")
      }
      #expect(try await stage.keys() == ["run/first"])
    }
  }

  @Test(.promise("DEL-15", "END-4"), arguments: Stage.Kind.available)
  func `if the body throws, its files are published, nothing is deleted, and its error is thrown`(
    _ kind: Stage.Kind
  )
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.write("out/kept", "x")
      await #expect(throws: Trouble()) {
        try await stage.mirror(["out": .upload(stage.url("out"), local: stage.local("out"))]) {
          mirror async throws in
          try stage.directory.remove("out/kept")
          try stage.directory.write("out/last", "words")
          throw Trouble()
        }
      }
      #expect(try await stage.keys() == ["out/kept", "out/last"])
      #expect(stage.events.report(of: "out")?.deleted == 0)
    }
  }

  @Test func `with onError skip S3 stays as it was if the body throws`() async throws {
    try await Stage.play { stage async throws in
      await #expect(throws: Trouble()) {
        try await stage.mirror(
          ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)], { $0.onError = .skip }
        ) { mirror async throws in
          try stage.directory.write("out/last", "words")
          throw Trouble()
        }
      }
      #expect(try await stage.keys().isEmpty)
    }
  }

  @Test(.promise("DEL-1"), arguments: Stage.Kind.available)
  func `an object is deleted with its file, but not without delete`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      for root in ["with", "without"] {
        try stage.directory.write("\(root)/kept", "x")
        try stage.directory.write("\(root)/gone", "x")
        try await stage.put("\(root)/extra", "never here")
      }
      try await stage.mirror([
        "with": .upload(stage.url("with"), local: stage.local("with"), interval: nil),
        "without": .upload(
          stage.url("without"), local: stage.local("without"), interval: nil, delete: false),
      ]) { mirror async throws in
        #expect(try await stage.keys().count == 6, "entry deletes nothing")
        try stage.directory.remove("with/gone")
        try stage.directory.remove("without/gone")
      }
      #expect(try await stage.keys() == ["with/kept", "without/extra", "without/gone", "without/kept"])
    }
  }

  @Test func `if the body succeeded, every unpublished path is thrown`() async throws {
    try await Stage.play { stage async throws in
      await stage.fake.inject { call, _ in
        guard call.operation == PutObject.name, call.key?.hasSuffix("bad") == true else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: call.key, status: 403, code: "AccessDenied",
          message: "")
      }
      let error = await #expect(throws: MirrorError.self) {
        try await stage.mirror(["out": .upload(stage.url("out"), local: stage.local("out"))]) {
          mirror async throws in
          for name in ["one-bad", "good", "two-bad"] { try stage.directory.write("out/\(name)", name) }
        }
      }
      #expect(error?.kind == .incomplete)
      #expect(error?.failures.map(\.path).sorted() == ["one-bad", "two-bad"])
      #expect(error?.failures.allSatisfy { $0.reason.contains("AccessDenied") } == true)
      #expect(try await stage.keys() == ["out/good"])
    }
  }

  @Test(.promise("END-3"), arguments: Stage.Kind.available)
  func `cancelling the surrounding task still publishes`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      let task = Task {
        try await stage.mirror(["out": .upload(stage.url("out"), local: stage.local("out"))]) {
          mirror async throws in
          try stage.directory.write("out/last", "words")
          withUnsafeCurrentTask { $0?.cancel() }
          try Task.checkCancellation()
        }
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(try await stage.text("out/last") == "words")
    }
  }

  @Test(.promise("END-3", "END-4"))
  func `an end that takes longer than exitTimeout is cut short, and reports unfinished files`() async throws {
    try await Stage.play { stage async throws in
      await stage.fake.hold { call in
        guard call.operation == PutObject.name else { return }
        // A server that never answers: only cancellation ends it.
        await Stage.untilCancelled()
      }
      let error = await #expect(throws: MirrorError.self) {
        try await stage.mirror(
          ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)],
          { $0.exitTimeout = .milliseconds(50) }
        ) { mirror in try stage.directory.write("out/late", "x") }
      }
      #expect(error?.kind == .incomplete)
      #expect(error?.description.contains("cut short") == true)
      #expect(error?.failures.contains { $0.path == "late" } == true)
      #expect(error?.description.contains("CancellationError") == false)
    }
  }

  @Test(.promise("END-6"))
  func `an entry that is cut short publishes nothing more, and neither does the end`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      let (begun, bell) = AsyncStream<Void>.makeStream()
      await stage.fake.hold { call in
        guard call.operation == PutObject.name else { return }
        bell.yield()
        await Stage.untilCancelled()
      }
      let scope = try stage.scope()
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"))
      let entry = Task { try await scope.enter([(name: "out", spec: spec)]) }
      for await _ in begun { break }
      entry.cancel()
      scope.abandon()
      await #expect(throws: CancellationError.self) { try await entry.value }
      await stage.fake.hold(nil)
      #expect(await scope.exit(.threw).uploads.isEmpty)
      #expect(try await stage.keys().isEmpty)
    }
  }

  @Test func `a scope that is abandoned before its end is also cut short at the end`() async throws {
    try await Stage.play { stage async throws in
      let scope = try stage.scope()
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), interval: nil)
      try await scope.enter([(name: "out", spec: spec)])
      try stage.directory.write("out/a", "x")
      scope.abandon()
      let report = await scope.exit(.returned)
      #expect(report.uploads.first?.failures.isEmpty == false)
      #expect(try await stage.keys().isEmpty)
    }
  }

  @Test(.promise("END-8"))
  func `a second mirror on the same remote is refused, and may begin when the first has ended`()
    async throws
  {
    try await Stage.play { stage async throws in
      try await stage.mirror(["one": .upload(stage.url("out"), local: stage.local("one"))]) {
        _ async throws in
        let error = await #expect(throws: MirrorError.self) {
          try await stage.mirror(["two": .upload(stage.url("out"), local: stage.local("two"))]) { _ in }
        }
        #expect(error?.kind == .configuration)
        #expect(error?.message.contains("another mirror") == true)
      }
      try await stage.mirror(["two": .upload(stage.url("out"), local: stage.local("two"))]) { _ in }
    }
  }

  @Test(arguments: Stage.Kind.available)
  func `invalid options are reported before anything is transferred or made`(_ kind: Stage.Kind) async throws
  {
    try await Stage.play(kind) { stage async throws in
      try await stage.put("data/a", "x")
      try stage.directory.write("file", "x")
      let before = stage.directory.everything()
      let good = MirrorSpec.download(stage.url("data"))
      let faults: [(MirrorSpec, MirrorError.Kind, String)] = [
        (.upload("s3://no-such-bucket-here/x", local: stage.local("out")), .configuration, "NoSuchBucket"),
        (.upload("s3://nosuchprofile@\(stage.bucket)/x"), .configuration, "nosuchprofile"),
        (.upload("s3:///x"), .invalid, "names no bucket"),
        (.upload("gs://bucket/x"), .invalid, "scheme"),
        (.upload(""), .invalid, "empty"),
        (.upload(stage.url("out"), local: stage.local("out"), exclude: ["["]), .invalid, "["),
        (.upload(stage.url("out"), local: stage.local("file/below")), .local, "file"),
        (.upload(stage.url("out"), interval: .seconds(-1)), .invalid, "interval"),
        (.upload(stage.url("data/sub"), local: stage.local("out")), .invalid, "overlap"),
        (.download(stage.local("nothing")), .local, "does not exist"),
      ]
      for (spec, kind, part) in faults {
        // The fake knows no profiles.
        if stage.isFake, part == "nosuchprofile" { continue }
        let error = await #expect(throws: MirrorError.self, "\(spec)") {
          try await stage.mirror(["good": good, "bad": spec]) { _ in Issue.record("the body ran: \(spec)") }
        }
        #expect(error?.kind == kind, "\(spec): \(String(describing: error))")
        #expect(error?.message.contains(part) == true, "\(spec): \(String(describing: error))")
        #expect(error?.description.split(separator: "\n").count == 1)
      }
      #expect(stage.directory.everything().filter { !$0.hasPrefix("run/") } == before)
      #expect(try await stage.keys() == ["data/a"])
    }
  }

  @Test(.enabled(if: Stage.serverBucket != nil))
  func `wrong credentials are reported before anything is made`() async throws {
    try await Stage.play(.server) { stage async throws in
      let before = stage.directory.everything()
      let error = await #expect(throws: MirrorError.self) {
        try await stage.mirror(
          ["out": .upload(stage.url("out"))], { $0.environment?["AWS_SECRET_ACCESS_KEY"] = "wrong" }
        ) { _ in Issue.record("the body ran") }
      }
      #expect(error?.kind == .configuration)
      #expect(error?.message.contains("check the access key") == true)
      #expect(stage.directory.everything().filter { !$0.hasPrefix("run/") } == before)
    }
  }

  @Test func `a local remote is used in place`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.makeDirectory("data")
      try await stage.mirror([
        "data": .download(stage.local("data")), "out": .upload(stage.local("made/here")),
      ]) { mirror async throws in
        #expect(try mirror.data.string == stage.local("data"))
        #expect(try mirror.out.string == stage.local("made/here"))
        #expect(stage.directory.exists("made/here"))
      }
      #expect(await stage.fake.calls.isEmpty)
    }
  }
}
