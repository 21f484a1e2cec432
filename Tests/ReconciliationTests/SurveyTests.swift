import Glibc
import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

@Suite struct SurveyTests {
  @Test(arguments: [FakeBucket.ListingOrder.bytes, .tree], [1, 2, 1000])
  func `what is absent, of another size, or superfluous is found in any listing order`(
    order: FakeBucket.ListingOrder, pageLimit: Int
  ) async throws {
    let tree = try TemporaryDirectory()
    for name in ["a-b", "a/b", "a/c/d", "a0", "same", "é"] { try tree.write(name, "1234") }
    try tree.write("sized", "12")
    let store = FakeObjectStore(behaviour: .init(order: order, pageLimit: pageLimit))
    for key in ["a-b", "a/c/d", "a0", "same", "sized", "a/gone", "gone"] {
      await store.place(key, Array("1234".utf8), lastModified: future)
    }
    let found = try await Surveyor(tree.root(), store).gathered()
    #expect(found.copies == ["a/b": .absent, "é": .absent, "sized": .size])
    #expect(found.extras == ["a/gone", "gone"])
    #expect(found.suspects == [])
    #expect(found.survey.localFiles == 7)
    #expect(found.survey.remoteObjects == 7)
  }

  @Test func `all that is skipped is counted, and the first ten are named`() async throws {
    let tree = try TemporaryDirectory()
    try tree.write("file")
    for number in 10..<25 { try tree.link("link\(number)", to: "file") }
    try #require(mkfifo(tree["fifo"], 0o600) == 0)
    let found = try await Surveyor(tree.root(), FakeObjectStore()).gathered()
    #expect(found.survey.skipped == 16)
    #expect(
      found.survey.skippedNames.map(\.path) == ["fifo"] + (10..<19).map { RelativePath("link\($0)") })
  }

  @Test(.promise("CHG-11", "SRV-1"))
  func `a listing that turns out to be unordered late leaves no false difference`() async throws {
    let tree = try TemporaryDirectory()
    let store = FakeObjectStore(behaviour: .init(order: .tree, pageLimit: 2))
    for name in ["a/1", "a/2", "a/3", "a/4", "a-1", "a-2", "b"] {
      try tree.write(name)
      await store.place(name, [], lastModified: future)
    }
    let order = ListingOrder()
    let found = try await Surveyor(tree.root(), store, order: order).gathered()
    #expect(found.copies == [:])
    #expect(found.extras == [])
    #expect(order.isKnownScattered)
    // Once known, such a server costs no second listing.
    await store.forgetCalls()
    _ = try await Surveyor(tree.root(), store, order: order).gathered()
    #expect(await store.count(of: ListObjectsV2.name) == 4)
  }

  @Test(.promise("SRV-1"))
  func `a short unordered listing is listed once`() async throws {
    let tree = try TemporaryDirectory()
    let store = FakeObjectStore(behaviour: .init(order: .tree))
    for name in ["a/1", "a-1"] {
      try tree.write(name)
      await store.place(name, [], lastModified: future)
    }
    let found = try await Surveyor(tree.root(), store).gathered()
    #expect(found.copies == [:])
    #expect(found.extras == [])
    #expect(await store.count(of: ListObjectsV2.name) == 1)
  }

  @Test(.promise("DEL-11"))
  func `a listing that cannot be had in full is an error, not an empty one`() async throws {
    let tree = try TemporaryDirectory()
    try tree.write("a")
    let store = FakeObjectStore(behaviour: .init(pageLimit: 1))
    for key in ["a", "b", "c"] { await store.place(key, []) }
    await store.inject { call, _ in
      call.operation == ListObjectsV2.name && call.ordinal == 2 ? StandInError() : nil
    }
    await #expect(throws: StandInError.self) { _ = try await Surveyor(tree.root(), store).gathered() }
  }

  @Test func `a directory and its marker are a pair, a marker alone is superfluous`() async throws {
    let tree = try TemporaryDirectory()
    try tree.makeDirectory("kept")
    try tree.write("full/file")
    let store = FakeObjectStore()
    for key in ["kept/", "full/", "full/file", "gone/"] { await store.place(key, [], lastModified: future) }
    let found = try await Surveyor(tree.root(), store).gathered()
    #expect(found.extras == ["gone/"])
    #expect(found.survey.remoteObjects == 4)
    #expect(found.survey.localFiles == 1)
  }

  @Test(.promise("DEL-12"))
  func `excluded and unsafe keys are left alone`() async throws {
    let tree = try TemporaryDirectory()
    try tree.write("mine.tmp")
    try tree.write("kept")
    let store = FakeObjectStore()
    for key in ["kept", "theirs.tmp", "../climb", "a//b", "cache/x"] {
      await store.place(key, [], lastModified: future)
    }
    let filter = try PathFilter(exclude: ["*.tmp", "cache/"])
    let found = try await Surveyor(tree.root(), store, filter: filter).gathered()
    #expect(found.extras == [])
    #expect(found.copies == [:])
    #expect(found.survey.refused.map(\.key) == ["../climb", "a//b"])
  }

  /// What gitignore(5) says of deletes: the table of `PathFilterTests` holds for objects as for files. None of these
  /// directories has a marker on S3, nor a directory here.
  @Test(
    .promise("DEL-12"),
    arguments: [
      (["cache/"], ["cache/x", "cache/deep/x", "a/cache/x"], ["cache", "cached/x", "xcache/y"]),
      (["/cache"], ["cache", "cache/x", "cache/deep/x"], ["a/cache", "a/cache/x"]),
      (["*.tmp"], ["x.tmp", "a/x.tmp", "dir.tmp/x"], ["x.tmpl", "tmp"]),
      (["a/**/z"], ["a/z", "a/b/c/z", "a/z/below"], ["z", "b/z"]),
      (["*.log", "!keep.log"], ["x.log", "a/x.log"], ["keep.log", "a/keep.log"]),
      // Nothing below an excluded directory can be taken back.
      (["logs/", "!logs/keep"], ["logs/keep", "logs/x"], ["keep"]),
      (["logs/*", "!logs/keep"], ["logs/x"], ["logs/keep"]),
      (["caf\u{e9}"], ["caf\u{e9}", "a/caf\u{e9}/x"], ["cafe\u{301}"]),
    ])
  func `an excluded object is never superfluous`(patterns: [String], kept: [String], superfluous: [String])
    async throws
  {
    let tree = try TemporaryDirectory()
    let store = FakeObjectStore()
    for key in kept + superfluous { await store.place(key, [], lastModified: future) }
    let surveyor = Surveyor(try tree.root(), store, filter: try PathFilter(exclude: patterns))
    let found = try await surveyor.gathered()
    #expect(found.extras.map { RelativePath($0) } == superfluous.map { RelativePath($0) }.sorted())
    #expect(found.survey.remoteObjects == superfluous.count)
  }

  @Test func `a part of the tree is compared with its part of the prefix`() async throws {
    let tree = try TemporaryDirectory()
    for name in ["a/b/c", "a/d", "ab"] { try tree.write(name) }
    let store = FakeObjectStore()
    await store.place("in/a/gone", [])
    await store.place("in/ab2", [])
    let surveyor = Surveyor(try tree.root(), store, mapping: .tree(prefix: "in/"))
    let found = try await surveyor.gathered("a")
    #expect(found.copies == ["a/b/c": .absent, "a/d": .absent])
    #expect(found.extras == ["a/gone"])
  }

  @Test func `one file is compared with its own key and nothing beside it`() async throws {
    let tree = try TemporaryDirectory()
    try tree.write("x", "1")
    try tree.write("other/y")
    let store = FakeObjectStore(behaviour: .init(pageLimit: 1))
    for key in ["k", "k1", "k2"] { await store.place(key, [], lastModified: future) }
    let found = try await Surveyor(
      tree.root(), store, mapping: .file(name: "x", key: "k")
    ).gathered()
    #expect(found.copies == ["x": .size])
    #expect(found.extras == [])
    #expect(found.survey.localFiles == 1)
    #expect(await store.count(of: ListObjectsV2.name) <= 2)
  }

  @Test func `equal sizes are suspects when the file changed after the object`() async throws {
    let tree = try TemporaryDirectory()
    for name in ["early", "late"] { try tree.write(name, "1") }
    let store = FakeObjectStore()
    await store.place("early", [1], lastModified: 1_000_000_000)
    await store.place("late", [1], lastModified: future)
    let found = try await Surveyor(tree.root(), store).gathered()
    #expect(found.suspects == ["early"])
    let sizes = try await Surveyor(tree.root(), store, policy: .size).gathered()
    #expect(sizes.suspects == [])
    let all = try await Surveyor(tree.root(), store, policy: .checksum).gathered()
    #expect(all.suspects == ["early", "late"])
  }

  @Test func `nothing is handed out before the listing has ended`() async throws {
    let tree = try TemporaryDirectory()
    for name in ["a", "b", "c"] { try tree.write(name) }
    let store = FakeObjectStore(behaviour: .init(pageLimit: 1))
    for key in ["b", "d", "e", "f"] { await store.place(key, [], lastModified: future) }
    var listed: [Int] = []
    _ = try await Surveyor(tree.root(), store).survey { _ in
      listed.append(await store.count(of: ListObjectsV2.name))
    }
    #expect(listed == [4])
  }

  @Test(.promise("DEL-13", "SRV-2"))
  func `a file whose backslash a server keeps as a slash protects that object`() async throws {
    let tree = try TemporaryDirectory()
    try tree.write("plain")
    try tree.write("back\\slash")
    let store = FakeObjectStore()
    for key in ["plain", "back/slash", "back/other"] { await store.place(key, [], lastModified: future) }
    let found = try await Surveyor(tree.root(), store).gathered()
    #expect(found.extras == ["back/other", "back/slash"])
    #expect(found.survey.reasonToKeep("back/slash") == .alias(of: "back\\slash"))
    #expect(found.survey.reasonToKeep("back/other") == nil)
  }

  @Test(.promise("DEL-11"))
  func `a key that is not UTF-8 casts doubt on its directory only`() async throws {
    let tree = try TemporaryDirectory()
    try tree.write("a")
    let store = UnreadableKeyStore(base: FakeObjectStore(), keys: ["dir/%FF", "%FE"])
    let surveyor = Surveyor(try tree.root(), store)
    let found = try await surveyor.gathered()
    #expect(found.survey.unreadableKeys == ["dir/%FF", "%FE"])
    #expect(found.survey.unseenRemotely == ["dir", .root])
    let narrow = UnreadableKeyStore(base: FakeObjectStore(), keys: ["dir/%FF"])
    let other = try await Surveyor(tree.root(), narrow).gathered().survey
    #expect(other.reasonToKeep("dir/x/y") == .unseen("dir"))
    #expect(other.reasonToKeep("dirt") == nil)
  }
}

struct StandInError: Error {}

/// A store whose listings name keys that are not UTF-8 besides.
struct UnreadableKeyStore: ObjectStore {
  let base: FakeObjectStore
  let keys: [String]

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let output = try await base.send(operation)
    guard var page = output as? ListObjectsV2.Output else { return output }
    page.unreadableKeys += keys
    guard let changed = page as? Operation.Output else { return output }
    return changed
  }
}
