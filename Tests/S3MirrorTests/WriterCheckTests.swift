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
  func `a look at many objects costs a page a thousand`(order: FakeBucket.ListingOrder) async throws {
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

  @Test(.promise("DEL-20"))
  func `without the permission to read objects a listing tells`() async throws {
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
  func `a look that fails deletes nothing, and the next pass looks again`() async throws {
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
  func `of thousands of objects in doubt the first are asked for`() async throws {
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
