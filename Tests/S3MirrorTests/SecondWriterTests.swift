import LocalTree
import MirrorModel
import S3Client
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// Two writers under one prefix: what one of them wrote since the other began is not the other's to delete.
@Suite struct SecondWriterTests {
  @Test(.promise("DEL-18"), arguments: Stage.Kind.available)
  func `two mirrors with shards of their own delete none of each other's`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      let first = try await entered("node0", on: stage)
      let second = try await entered("node1", on: stage)
      for name in [".metadata", "__0_0.distcp", "__0_1.distcp"] {
        try stage.directory.write("node0/step-1/" + name, "of node 0")
      }
      for name in ["__1_0.distcp", "__1_1.distcp"] {
        try stage.directory.write("node1/step-1/" + name, "of node 1")
      }
      try await flush(first, second)
      let all = [".metadata", "__0_0.distcp", "__0_1.distcp", "__1_0.distcp", "__1_1.distcp"]
        .map { "out/step-1/" + $0 }
      #expect(try await stage.keys() == all)

      let one = try #require(await first.exit(.returned).uploads.first)
      #expect(try await stage.keys() == all)
      #expect(one.withheld.map(\.path) == ["step-1/__1_0.distcp", "step-1/__1_1.distcp"])
      #expect(one.withheld.allSatisfy { $0.reason.contains("another writer") })
      #expect(one.withheldDeletes == 2)
      #expect(one.drift == 0)

      let other = try #require(await second.exit(.returned).uploads.first)
      #expect(try await stage.keys() == all)
      #expect(
        other.withheld.map(\.path) == [".metadata", "__0_0.distcp", "__0_1.distcp"].map { "step-1/" + $0 })
      #expect(other.drift == 0)
      #expect(!stage.events.notices.contains { $0.contains("report it") })
    }
  }

  @Test(.promise("DEL-18"))
  func `a delete leaves an object that another writer made under the same name`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for name in ["ours", "theirs"] { try stage.directory.write("out/" + name, "x") }
        try await mirror.flush()
        try await stage.put("out/theirs", "of another writer")
        for name in ["ours", "theirs"] { try stage.directory.remove("out/" + name) }
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/theirs"])
        #expect(mirror.status.first?.withheldDeletes == 1)
        // What was found out once is not asked for again.
        await stage.fake.forgetCalls()
        try await mirror.flush()
        #expect(await stage.fake.calls.isEmpty)
        #expect(mirror.status.first?.withheldDeletes == 1)
      }
      #expect(try await stage.keys() == ["out/theirs"])
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["theirs"])
      #expect(stage.events.notices.count { $0.contains("not deleted: theirs: another writer") } == 1)
    }
  }

  @Test(.promise("DEL-18"))
  func `an object that this mirror publishes again is its own again`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("out/a", "x")
        try await mirror.flush()
        try await stage.put("out/a", "of another writer")
        try stage.directory.remove("out/a")
        try await mirror.flush()
        try stage.directory.write("out/a", "ours")
        try await mirror.flush()
        #expect(try await stage.text("out/a") == "ours")
        try stage.directory.remove("out/a")
        try await mirror.flush()
        #expect(try await stage.keys() == [])
      }
      #expect(stage.events.report(of: "out")?.withheld == [])
    }
  }

  @Test(.promise("DEL-18"))
  func `an object of the same content by another writer is another object`() async throws {
    let clock = Mutex(FakeClock.system())
    try await Stage.play(clock: { clock.withLock { $0 } }) { stage async throws in
      try stage.directory.write("out/kept", "x")
      for name in ["old", "there"] { try await stage.put("out/" + name, "x") }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("out/new", "x")
        try await mirror.flush()
        clock.withLock { $0 += 2_000_000_000 }
        for name in ["there", "new"] { try await stage.put("out/" + name, "x") }
        try stage.directory.remove("out/new")
        try await mirror.flush()
      }
      #expect(try await stage.keys() == ["out/kept", "out/new", "out/there"])
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["new", "there"])
    }
  }

  @Test(.promise("DEL-18"))
  func `a rename leaves the old object if another writer has replaced it`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: false)
      ]) { mirror async throws in
        try stage.directory.write("out/old", "ours")
        try await mirror.flush()
        try await stage.put("out/old", "of another writer")
        try stage.directory.rename("out/old", to: "out/new")
        try await mirror.flush()
      }
      #expect(try await stage.text("out/old") == "of another writer")
      #expect(try await stage.text("out/new") == "ours")
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["old"])
    }
  }

  @Test(.promise("DEL-18"))
  func `objects of other writers stay when their directory leaves the tree`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("out/step/0", "ours")
        try await mirror.flush()
        try await stage.put("out/step/1", "of another writer")
        try stage.directory.rename("out/step", to: "elsewhere")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/step/1"])
      }
      #expect(try await stage.keys() == ["out/step/1"])
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["step/1"])
    }
  }

  @Test(.promise("DEL-19"), arguments: Stage.Kind.available)
  func `an object that existed at the entry is deleted, whoever wrote it`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      for name in ["a", "step/b"] { try await stage.put("out/" + name, "of another writer") }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("out/new", "x")
        try await stage.put("out/later", "of another writer")
      }
      // The root was empty at entry, which is another guard.
      #expect(stage.events.report(of: "out")?.withheld.count == 3)
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { _ in }
      #expect(try await stage.keys() == ["out/new"])
      #expect(stage.events.report(of: "out")?.withheld == [])
    }
  }

  @Test(.promise("DEL-19"))
  func `an object whose answer was lost counts as this mirror's`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        await stage.fake.inject { call, moment in
          guard call.operation == PutObject.name, moment == .afterEffect else { return nil }
          return call.refusal(status: 0, code: "Timeout")
        }
        for name in ["gone", "kept"] { try stage.directory.write("out/" + name, "x") }
        await #expect(throws: MirrorError.self) { try await mirror.flush() }
        #expect(try await stage.keys() == ["out/gone", "out/kept"])
        await stage.fake.inject(nil)
        try stage.directory.remove("out/gone")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/kept"])
      }
      #expect(stage.events.report(of: "out")?.withheld == [])
    }
  }

  @Test(.promise("DEL-19"))
  func `an object of a late request of an earlier run counts as this mirror's`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      let root = try TreeRoot(path: FilePath(stage.local("out"))).identity
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        await stage.fake.place(
          stage.prefix + "out/late", [1], metadata: [WriterMark.metadataName: WriterMark(root: root).text])
      }
      #expect(try await stage.keys() == ["out/a"])
      #expect(stage.events.report(of: "out")?.withheld == [])
    }
  }

  @Test(.promise("DEL-18"))
  func `a one-shot upload leaves objects that were written after its listing`() async throws {
    try await Stage.play { stage async throws in
      for name in ["old", "raced"] { try await stage.put("out/" + name, "x") }
      try stage.directory.write("out/new", "x")
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"))
      await stage.fake.hold { call in
        guard call.operation == PutObject.name, call.key?.hasSuffix("new") == true else { return }
        await stage.fake.place(stage.prefix + "out/raced", [7])
      }
      let report = try #require(try await stage.uploadOnce(spec))
      #expect(try await stage.keys() == ["out/new", "out/raced"])
      #expect(report.withheld.map(\.path) == ["raced"])
      #expect(report.deleted == 1)
    }
  }

  @Test(.promise("DEL-18"))
  func `an object that appeared during a sync's download does not count as one of the entry`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("out/a", "x")
      await stage.fake.hold { call in
        guard call.operation == GetObject.name else { return }
        await stage.fake.place(stage.prefix + "out/theirs", [7])
      }
      try await stage.mirror([
        "out": .sync(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in try stage.directory.remove("out/a") }
      #expect(try await stage.keys() == ["out/theirs"])
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["theirs"])
    }
  }

  @Test(.promise("DEL-18"))
  func `an object of another writer is no drift`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: .milliseconds(50))],
        { $0.auditInterval = .milliseconds(100) }
      ) { mirror async throws in
        try await stage.put("out/theirs", "x")
        let audits = { stage.events.passes.count { $0.kind == .audit } }
        let before = audits()
        try await eventually("two more audits ended") { audits() > before + 1 }
        try await mirror.flush()
      }
      #expect(try await stage.keys() == ["out/a", "out/theirs"])
      #expect(stage.events.report(of: "out")?.drift == 0)
    }
  }

  @Test(.promise("DEL-18"))
  func `objects of other writers do not count for the bound`() async throws {
    try await Stage.play { stage async throws in
      for index in 0..<11 { try await stage.put("out/old/\(index)", "x") }
      for index in 0..<12 { try stage.directory.write("out/\(index)", "x") }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for index in 0..<100 { await stage.fake.place(stage.prefix + "out/theirs/\(index)", [1]) }
      }
      // 11 of 23: with the others' it would be 111 of 123.
      let report = try #require(stage.events.report(of: "out"))
      #expect(report.deleted == 11)
      #expect(report.withheldDeletes == 100)
      #expect(try await stage.keys().count == 112)
    }
  }

  private func entered(_ node: String, on stage: Stage) async throws -> MirrorScope {
    try stage.directory.makeDirectory(node)
    // Another host has another directory for its locks.
    try stage.directory.makeDirectory("run-" + node)
    let scope = try stage.scope { $0.environment?["XDG_RUNTIME_DIR"] = stage.local("run-" + node) }
    try await scope.enter([
      (name: "out", spec: .upload(stage.url("out"), local: stage.local(node), interval: nil))
    ])
    return scope
  }

  private func flush(_ scopes: MirrorScope...) async throws {
    for scope in scopes { _ = try await scope.flush(nil) }
  }
}
