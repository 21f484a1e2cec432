import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// How it is found out whose the objects are, and what that costs.
@Suite struct WriterCheckTests {
  @Test(.promise("DEL-20"), arguments: [FakeBucket.ListingOrder.bytes, .tree])
  func `a check of many objects costs one listing page for each thousand`(order: FakeBucket.ListingOrder)
    async throws
  {
    try await Stage.play(behaviour: .init(order: order)) { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for index in 0..<1_200 { try stage.directory.write("out/d/\(index)", "x") }
        try stage.directory.write("out/kept", "x")
        try await mirror.flush()
        await stage.fake.forgetCalls()
        try stage.directory.remove("out/d")
        try await mirror.flush()
        let calls = await stage.fake.calls
        #expect(try await stage.keys() == ["out/kept"])
        let counts = Dictionary(calls.map { ($0.operation, 1) }, uniquingKeysWith: +)
        #expect(counts[DeleteObjects.name] == 2)
        #expect(counts[HeadObject.name] ?? 0 <= 2)
        #expect(counts[ListObjectsV2.name] ?? 0 <= 2, "\(calls)")
      }
      #expect(stage.events.report(of: "out")?.withheld == [])
    }
  }

  /// `step.tmp` comes before `step/…` in the order of bytes, and after it in a tree.
  @Test(.promise("SRV-1"), arguments: [FakeBucket.ListingOrder.bytes, .tree], ["step", "step.tmp"])
  func `the files of a directory and a name beside it are checked together`(
    order: FakeBucket.ListingOrder, beside: String
  ) async throws {
    try await Stage.play(behaviour: .init(order: order)) { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("out/" + beside, "x")
        try stage.directory.write("out/z", "x")
        try await mirror.flush()
        if beside == "step" {
          // Its delete waits, so that it goes with the directory's.
          try stage.directory.remove("out/step")
        }
        for index in 0..<20 { try stage.directory.write("out/step/b\(index)", "x") }
        await stage.fake.inject { call, _ in call.key?.hasSuffix("/z") == true ? call.refusal() : nil }
        try stage.directory.write("out/z", "y")
        await #expect(throws: MirrorError.self) { try await mirror.flush() }
        await stage.fake.inject(nil)
        #expect(try await stage.keys().count == 22)
        for name in Set(["step", beside]) { try stage.directory.remove("out/" + name) }
        await stage.fake.forgetCalls()
        try await mirror.flush()
        let calls = await stage.fake.calls.map(\.operation).sorted()
        #expect(calls == [DeleteObjects.name, ListObjectsV2.name, PutObject.name])
        #expect(try await stage.keys() == ["out/z"])
      }
      #expect(stage.events.report(of: "out")?.withheld == [])
    }
  }

  @Test(.promise("SRV-4"), arguments: [1, 20])
  func `an object that a listing hides below another object's name is checked by a request, and deleted`(
    count: Int
  ) async throws {
    try await Stage.play(behaviour: .init(hidesBelowObjects: true)) { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("out/before", "x")
        for index in 0..<count { try stage.directory.write("out/n3/b\(index)", "x") }
        try await mirror.flush()
        // The file is published first, and then no listing has what lies below its name.
        for name in ["before", "n3"] { try stage.directory.remove("out/" + name) }
        try stage.directory.write("out/n3", "x")
        try await mirror.flush()
        #expect(await stage.fake.keys == [stage.prefix + "out/n3"])
      }
      #expect(stage.events.report(of: "out")?.withheld == [])
    }
  }

  @Test(.promise("SRV-4"))
  func `an object of an earlier run is deleted even if listings hide it`() async throws {
    try await Stage.play(behaviour: .init(hidesBelowObjects: true)) { stage async throws in
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), interval: nil)
      for index in 0..<30 { try stage.directory.write("out/kept/\(index)", "x") }
      for index in 0..<20 { try stage.directory.write("out/n3/b\(index)", "x") }
      try await stage.mirror(["out": spec]) { _ in }
      try await stage.mirror(["out": spec]) { mirror async throws in
        try stage.directory.remove("out/n3")
        try stage.directory.write("out/n3", "x")
        try await mirror.flush()
        #expect(await stage.fake.keys.filter { $0.contains("/n3") } == [stage.prefix + "out/n3"])
      }
    }
  }

  @Test(.promise("SRV-4"))
  func `another writer's object that a listing hides stays`() async throws {
    try await Stage.play(behaviour: .init(hidesBelowObjects: true)) { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for index in 0..<20 { try stage.directory.write("out/n3/b\(index)", "x") }
        try await mirror.flush()
        try await stage.put("out/n3/b7", "of another writer")
        try stage.directory.remove("out/n3")
        try stage.directory.write("out/n3", "x")
        try await mirror.flush()
        #expect(await stage.fake.keys == ["out/n3", "out/n3/b7"].map { stage.prefix + $0 })
        #expect(mirror.status.first?.withheldDeletes == 1)
      }
      #expect(await stage.fake.bytes(stage.prefix + "out/n3/b7") == Array("of another writer".utf8))
    }
  }

  @Test(.promise("DEL-6"))
  func `the bound counts objects that a listing hides`() async throws {
    try await Stage.play(behaviour: .init(hidesBelowObjects: true)) { stage async throws in
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)],
        { $0.maxDelete = .limit(5) }
      ) { mirror async throws in
        for index in 0..<20 { try stage.directory.write("out/n3/b\(index)", "x") }
        try await mirror.flush()
        try stage.directory.remove("out/n3")
        try stage.directory.write("out/n3", "x")
        try await mirror.flush()
        #expect(mirror.status.first?.withheldDeletes == 20)
        #expect(await stage.fake.keys.count == 21)
      }
    }
  }

  @Test(.promise("DEL-20"))
  func `without the permission to read objects a listing decides`() async throws {
    try await Stage.play { stage async throws in
      await stage.fake.inject { call, _ in
        call.operation == HeadObject.name ? call.refusal(status: 403, code: "Forbidden") : nil
      }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for name in ["ours", "theirs"] { try stage.directory.write("out/" + name, "x") }
        try await mirror.flush()
        try await stage.put("out/theirs", "of another writer")
        for name in ["ours", "theirs"] { try stage.directory.remove("out/" + name) }
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/theirs"])
      }
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["theirs"])
      #expect(stage.events.report(of: "out")?.failures == [])
    }
  }

  @Test(.promise("DEL-20"))
  func `a check that fails deletes nothing, and the next pass checks again`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("out/a", "x")
        try await mirror.flush()
        await stage.fake.inject { call, _ in call.operation == HeadObject.name ? call.refusal() : nil }
        try stage.directory.remove("out/a")
        await #expect(throws: MirrorError.self) { try await mirror.flush() }
        #expect(try await stage.keys() == ["out/a"])
        await stage.fake.inject(nil)
        try await mirror.flush()
        #expect(try await stage.keys() == [])
      }
    }
  }

  @Test(.promise("DEL-21"))
  func `of thousands of objects in doubt only the first are checked by requests`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for index in 0..<1_100 { await stage.fake.place(stage.prefix + "out/theirs/\(index)", [1]) }
      }
      #expect(try await stage.keys().count == 1_101)
      #expect(stage.events.report(of: "out")?.withheldDeletes == 1_100)
      #expect(await stage.fake.count(of: HeadObject.name) == WriterCheck.mostDoubts)
    }
  }

  @Test(.promise("PROP-6"))
  func `every object names its writer`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/small", "x")
      try stage.directory.write("out/large", String(repeating: "x", count: 5 << 20))
      try stage.directory.makeDirectory("out/empty")
      let root = try TreeRoot(path: FilePath(stage.local("out"))).identity
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)],
        {
          $0.emptyDirectories = .marker
          $0.multipartThreshold = 5 << 20 - 1
          $0.partBytes = 5 << 20
        }
      ) { mirror async throws in
        try stage.directory.rename("out/small", to: "out/renamed")
        try await mirror.flush()
      }
      #expect(try await stage.keys() == ["out/empty/", "out/large", "out/renamed"])
      for key in try await stage.keys() {
        let object = try #require(await stage.fake.object(stage.prefix + key))
        #expect(object.metadata[WriterMark.metadataName] == WriterMark(root: root).text)
      }
    }
  }
}
