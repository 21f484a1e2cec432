import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// What a pass sends, and in which order.
@Suite struct PassTests {
  @Test(.promise("CHG-1"), arguments: Stage.Kind.available)
  func `a tick sends only changed files, and lists nothing`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      for index in 0..<20 { try stage.directory.write("out/\(index)", "x") }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: .zero)
      ]) { mirror async throws in
        try stage.directory.write("out/7", "changed")
        await stage.events.first { event in
          if case .pass(let summary) = event {
            summary.kind == .tick && summary.published == 1
          } else {
            false
          }
        }
        #expect(try await stage.text("out/7") == "changed")
      }
      let ticks = stage.events.passes.filter { $0.kind == .tick && $0.published > 0 }
      #expect(ticks.map(\.requests) == [["PutObject": 1]])
    }
  }

  @Test(arguments: [(Duration.seconds(900), "local!"), (.zero, "remote")])
  func `an object later than its file is trusted outside the window of suspicion`(
    window: Duration, expected: String
  ) async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/file", "local!")
      let minuteLater = FakeClock.system() + 60 * 1_000_000_000
      await stage.fake.place(stage.prefix + "out/file", Array("remote".utf8), lastModified: minuteLater)
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)],
        { $0.suspectWithin = window }
      ) { _ in }
      #expect(try await stage.text("out/file") == expected)
    }
  }

  @Test func `a followed link that is uploaded by itself is sent again when its target changes`() async throws
  {
    try await Stage.play { stage async throws in
      try stage.directory.write("target", "first")
      try #require(symlink("target", stage.local("link")) == 0)
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("link"), interval: nil)],
        { $0.symlinks = .follow }
      ) { mirror async throws in
        #expect(try await stage.text("out") == "first")
        try stage.directory.write("target", "later")
        try await mirror.flush()
        #expect(try await stage.text("out") == "later")
      }
    }
  }

  @Test(.promise("PUB-12"))
  func `data are published before their marker, deep markers before shallow ones, deletes last`() async throws
  {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/old", "x")
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        await stage.fake.forgetCalls()
        try stage.directory.write("out/latest", "step-1")
        try stage.directory.write("out/step-1/.metadata", "index")
        try stage.directory.write("out/step-1/shard-0", "data")
        try stage.directory.write("out/step-1/shard-1", "data")
        try stage.directory.remove("out/old")
        try await mirror.flush()
        let calls = await stage.fake.calls.filter {
          [PutObject.name, DeleteObjects.name].contains($0.operation)
        }
        let keys = calls.map { $0.key.map { String($0.dropFirst(stage.prefix.count)) } ?? $0.operation }
        #expect(Set(keys.prefix(2)) == ["out/step-1/shard-0", "out/step-1/shard-1"])
        #expect(Array(keys.dropFirst(2)) == ["out/step-1/.metadata", "out/latest", "DeleteObjects"])
      }
    }
  }

  @Test(.promise("PUB-12"))
  func `a marker waits for data below its directory that failed`() async throws {
    try await Stage.play { stage async throws in
      await stage.fake.inject { call, _ in
        guard call.operation == PutObject.name, call.key?.hasSuffix("shard-1") == true else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: call.key, status: 500, code: "InternalError",
          message: "")
      }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for name in ["latest", "a/.metadata", "a/shard-0", "b/.metadata", "b/shard-1"] {
          try stage.directory.write("out/\(name)", name)
        }
        await #expect(throws: MirrorError.self) { try await mirror.flush() }
        #expect(try await stage.keys() == ["out/a/.metadata", "out/a/shard-0"])
        await stage.fake.inject(nil)
        try await mirror.flush()
        #expect(try await stage.keys().count == 5)
      }
    }
  }

  @Test(.promise("DEL-10"))
  func `nothing is deleted in a pass in which something failed`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/old", "x")
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        await stage.fake.inject { call, _ in
          guard call.operation == PutObject.name else { return nil }
          return S3Error(
            operation: call.operation, bucket: "bucket", key: call.key, status: 500, code: "InternalError",
            message: "")
        }
        try stage.directory.write("out/new", "x")
        try stage.directory.remove("out/old")
        await #expect(throws: MirrorError.self) { try await mirror.flush() }
        #expect(try await stage.keys() == ["out/old"])
        await stage.fake.inject(nil)
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/new"])
      }
    }
  }

  @Test(.promise("CHG-4"), arguments: Stage.Kind.available)
  func `a rename is a copy on the server, and the old key is deleted`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.write("out/step.tmp", "weights")
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.rename("out/step.tmp", to: "out/step")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/step"])
        #expect(try await stage.text("out/step") == "weights")
      }
      let flush = try #require(stage.events.passes.first { $0.kind == .flush })
      #expect(flush.copied == 1)
      #expect(flush.requests["PutObject"] == nil)
    }
  }

  @Test func `rewriting files does not widen the bound on deletes`() async throws {
    try await Stage.play { stage async throws in
      // Of an earlier run: of what this run publishes itself the bound says nothing.
      for index in 0..<12 {
        try stage.directory.write("out/old-\(index)", "x")
        try await stage.put("out/old-\(index)", "x")
      }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for round in 0..<15 {
          try stage.directory.write("out/new", "round \(round)")
          try await mirror.flush()
        }
        for index in 0..<12 { try stage.directory.remove("out/old-\(index)") }
        try await mirror.flush()
        #expect(try await stage.keys().count == 13)
      }
      #expect(try await stage.keys().count == 13)
    }
  }

  @Test func `a directory of many published files may be renamed`() async throws {
    try await Stage.play { stage async throws in
      for index in 0..<20 { try stage.directory.write("out/tmp/file-\(index)", "x") }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.rename("out/tmp", to: "out/final")
        try await mirror.flush()
        #expect(try await stage.keys() == (0..<20).map { "out/final/file-\($0)" }.sorted())
      }
      let flush = try #require(stage.events.passes.first { $0.kind == .flush })
      #expect(flush.copied == 20)
      #expect(flush.deleted == 20)
    }
  }

  /// What trainers do with a checkpoint that is complete; the marker is sent, for a copy would run ahead of its gate.
  @Test(.promise("CHG-5"), arguments: Stage.Kind.available)
  func `a renamed directory sends no data, and its commit markers`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      let data = (0..<8).map { "shard-\($0)" }
      for file in data + [".metadata"] {
        try stage.directory.write("out/checkpoint-500.saving/\(file)", "of \(file)")
      }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        #expect(try await stage.keys().count == data.count + 1)
        try stage.directory.rename("out/checkpoint-500.saving", to: "out/checkpoint-500")
        try await mirror.flush()
        #expect(
          try await stage.keys() == ([".metadata"] + data).map { "out/checkpoint-500/\($0)" })
        for file in data + [".metadata"] {
          #expect(try await stage.text("out/checkpoint-500/\(file)") == "of \(file)")
        }
      }
      let flush = try #require(stage.events.passes.first { $0.kind == .flush })
      #expect(flush.copied == data.count)
      #expect(flush.requests["CopyObject"] == data.count)
      #expect(flush.requests["PutObject"] == 1)
    }
  }

  @Test(.promise("CHG-6"), arguments: [Options.Renames.move, .copy])
  func `without delete a rename still deletes the old key, unless renames are copies`(
    renames: Options.Renames
  ) async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: false)],
        { $0.renames = renames }
      ) { mirror async throws in
        try stage.directory.rename("out/a", to: "out/b")
      }
      #expect(try await stage.keys() == (renames == .move ? ["out/b"] : ["out/a", "out/b"]))
    }
  }

  @Test(.promise("CHG-4"))
  func `a copy whose source was replaced on S3 becomes an upload`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "mine")
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try await stage.put("out/a", "somebody else's")
        try stage.directory.rename("out/a", to: "out/b")
        try await mirror.flush()
        #expect(try await stage.text("out/b") == "mine")
      }
    }
  }
}
