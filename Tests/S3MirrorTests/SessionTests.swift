import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// What can be asked of a mirror while its body runs.
@Suite struct SessionTests {
  @Test(arguments: Stage.Kind.available)
  func `flush returns when everything closed before is published`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for round in 1...3 {
          try stage.directory.write("out/\(round)/file", "round \(round)")
          try await mirror.flush("out")
          #expect(try await stage.text("out/\(round)/file") == "round \(round)")
        }
        let status = try #require(mirror.status.first)
        #expect(status.publishedFiles == 3)
        #expect(status.waitingFiles == 0)
        #expect(status.recoveryPoint == nil)
      }
    }
  }

  @Test func `flush throws the failed paths, and publishes the others`() async throws {
    try await Stage.play { stage async throws in
      await stage.fake.inject { call, _ in
        guard call.operation == PutObject.name, call.key?.contains("/bad/") == true else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: call.key, status: 500, code: "InternalError",
          message: "")
      }
      let specs: KeyValuePairs<String, MirrorSpec> = [
        "bad": .upload(stage.url("bad"), local: stage.local("bad"), interval: nil),
        "good": .upload(stage.url("good"), local: stage.local("good"), interval: nil),
      ]
      try await stage.mirror(specs) { mirror async throws in
        try stage.directory.write("bad/file", "x")
        try stage.directory.write("good/file", "x")
        let error = await #expect(throws: MirrorError.self) { try await mirror.flush() }
        #expect(error?.kind == .incomplete)
        #expect(error?.failures.map(\.path) == ["file"])
        #expect(try await stage.text("good/file") == "x")
        let status = try #require(mirror.status.first { $0.name == "bad" })
        #expect(status.failures.map(\.path) == ["file"])
        #expect(status.waitingFiles == 1)
        #expect(status.recoveryPoint != nil)
        await stage.fake.inject(nil)
        try await mirror.flush("bad")
        #expect(try await stage.text("bad/file") == "x")
      }
    }
  }

  @Test func `an unknown name is answered with the known names`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out")), "data": .download(stage.local("")),
      ]) { mirror async throws in
        let error = #expect(throws: MirrorError.self) { _ = try mirror.outt }
        #expect(error?.message == "this mirror has no \"outt\"; it has data, out")
        #expect(try mirror["out"].string == stage.local("out"))
        await #expect(throws: MirrorError.self) { try await mirror.flush("outt") }
        await #expect(throws: MirrorError.self) { try await mirror.flush("data") }
      }
    }
  }

  @Test(arguments: Stage.Kind.available)
  func `uploads and downloads can be added while the body runs`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try await stage.put("data/a", "x")
      try await stage.mirror([:]) { mirror async throws in
        let data = try await mirror.download(stage.url("data"), name: "data")
        #expect(try mirror.data == data)
        let out = try await mirror.upload(stage.url("out"), name: "out", local: stage.local("out"))
        #expect(out.string == stage.local("out"))
        try stage.directory.write("out/late", "x")
        #expect(try await mirror.ls(stage.url("data")) == [stage.url("data/a")])
      }
      #expect(try await stage.keys() == ["data/a", "out/late"])
    }
  }

  @Test func `the same registration twice is one, under both names`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["out": .upload(stage.url("out"), local: stage.local("out"))]) {
        mirror async throws in
        let again = try await mirror.upload(stage.url("out"), name: "again", local: stage.local("out"))
        #expect(again.string == stage.local("out"))
        #expect(try mirror.again == again)
        #expect(mirror.status.count == 1)
        try stage.directory.write("out/x", "x")
        try await mirror.flush("again")
        #expect(try await stage.keys() == ["out/x"])
        await #expect(throws: MirrorError.self) {
          try await mirror.upload(stage.url("out"), name: "other", local: stage.local("elsewhere"))
        }
      }
    }
  }

  @Test func `two tasks that ask for the same download share it`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/a", "x")
      try await stage.mirror([:]) { mirror async throws in
        async let first = mirror.download(stage.url("data"))
        async let second = mirror.download(stage.url("data"))
        let paths = try await [first, second]
        #expect(paths[0] == paths[1])
      }
      #expect(await stage.fake.count(of: GetObject.name) == 1)
    }
  }

  @Test func `a transfer that could not begin can be tried again`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([:]) { mirror async throws in
        await stage.fake.inject { call, _ in
          guard call.operation == ListObjectsV2.name else { return nil }
          return S3Error(
            operation: call.operation, bucket: "bucket", key: nil, status: 500, code: "InternalError",
            message: "")
        }
        await #expect(throws: MirrorError.self) {
          try await mirror.upload(stage.url("out"), name: "out", local: stage.local("out"))
        }
        #expect(throws: MirrorError.self) { _ = try mirror.out }
        await stage.fake.inject(nil)
        try await mirror.upload(stage.url("out"), name: "out", local: stage.local("out"))
        try stage.directory.write("out/x", "x")
      }
      #expect(try await stage.keys() == ["out/x"])
    }
  }

  @Test func `a session that has ended accepts no spec`() async throws {
    try await Stage.play { stage async throws in
      let mirror = try await stage.mirror(["out": .upload(stage.url("out"), local: stage.local("out"))]) {
        $0
      }
      let error = await #expect(throws: MirrorError.self) { try await mirror.upload(stage.url("other")) }
      #expect(error?.kind == .interrupted)
      await #expect(throws: MirrorError.self) { try await mirror.flush() }
    }
  }

  @Test(.promise("CHG-2"))
  func `a transfer log below the root never counts as a change`() async throws {
    try await Stage.play { stage async throws in
      let scope = try stage.scope { $0.logDirectory = stage.local("out/[logs] 1") }
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), interval: nil, include: ["*"])
      try stage.directory.write("out/a", "x")
      try stage.directory.write("out/[logs] 1/earlier.jsonl.gz", "x")
      try await scope.enter([(name: "out", spec: spec)])
      #expect(await scope.exit(.returned).isComplete)
      #expect(try await stage.keys() == ["out/a"])
    }
  }
}
