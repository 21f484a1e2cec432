import Glibc
import LocalTree
import Logging
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// SPEC 5, at the last step before an object goes.
@Suite struct RemoteRemoverTests {
  private let directory: TemporaryDirectory
  private let store = FakeObjectStore()

  init() throws {
    directory = try TemporaryDirectory()
    try directory.makeDirectory("root")
  }

  private func remover(bound: DeleteBound = .standard) throws -> RemoteRemover {
    RemoteRemover(
      name: "up", root: try TreeRoot(path: FilePath(directory["root"])), mapping: .tree(prefix: "p/"),
      store: store, bound: bound,
      journal: Journal(log: nil, logger: Logger(label: "test"), observer: nil, bucket: "bucket"),
      ledger: PublishedLedger())
  }

  private func place(_ names: [RelativePath]) async {
    for name in names { await store.place("p/" + name.string, [1]) }
  }

  @Test func `objects without a file go, and those whose file is there stay`() async throws {
    try directory.write("root/here", "x")
    await place(["here", "gone", "deep/gone"])
    let outcome = try await remover().remove(["here", "gone", "deep/gone"], of: 3)
    #expect(outcome.deleted.sorted() == ["deep/gone", "gone"])
    #expect(outcome.withheld == ["here": .stillPresent])
    #expect(await store.keys == ["p/here"])
  }

  @Test func `a root that was replaced withholds everything`() async throws {
    await place(["gone"])
    let remover = try remover()
    try directory.rename("root", to: "old")
    try directory.makeDirectory("root")
    let outcome = await remover.remove(["gone"], of: 1)
    #expect(outcome.withheld == ["gone": .rootUnavailable])
    #expect(await store.keys == ["p/gone"])
    #expect(await store.calls.isEmpty)
  }

  @Test func `a root that is gone withholds everything`() async throws {
    await place(["gone"])
    let remover = try remover()
    try directory.remove("root")
    #expect(await remover.remove(["gone"], of: 1).withheld == ["gone": .rootUnavailable])
    #expect(await store.keys == ["p/gone"])
  }

  @Test func `a path that cannot be looked at is not absent`() async throws {
    await place(["link/below", "gone"])
    try directory.link("root/link", to: "/nowhere")
    let outcome = try await remover().remove(["link/below", "gone"], of: 2)
    #expect(outcome.withheld == ["link/below": .unseen("link/below")])
    #expect(outcome.deleted == ["gone"])
  }

  @Test func `more than half of the objects and more than ten are withheld`() async throws {
    let names = (0..<11).map { RelativePath("\($0)") }
    await place(names)
    let outcome = try await remover().remove(names, of: 21)
    #expect(outcome.withheld.count == 11)
    #expect(outcome.withheld["0"] == .overBound(deletes: 11, of: 21))
    #expect(await store.count(of: DeleteObjects.name) == 0)
    #expect(try await remover(bound: .limit(11)).remove(names, of: 21).deleted.count == 11)
  }

  @Test func `the bound counts what is really absent`() async throws {
    let names = (0..<11).map { RelativePath("\($0)") }
    await place(names)
    try directory.write("root/0", "x")
    let outcome = try await remover().remove(names, of: 11)
    #expect(outcome.deleted.count == 10)
  }

  @Test func `more than 1,000 keys go in batches`() async throws {
    let names = (0..<2001).map { RelativePath("\($0)") }
    await place(names)
    let outcome = try await remover(bound: .unlimited).remove(names, of: 2001)
    #expect(outcome.deleted.count == 2001)
    #expect(await store.count(of: DeleteObjects.name) == 3)
    #expect(await store.keys.isEmpty)
  }

  @Test func `keys that XML cannot carry go by themselves`() async throws {
    let odd: RelativePath = "bell\u{7}"
    await place([odd, "plain"])
    let outcome = try await remover().remove([odd, "plain"], of: 2)
    #expect(outcome.deleted.sorted() == [odd, "plain"])
    #expect(await store.count(of: DeleteObject.name) == 1)
    #expect(await store.count(of: DeleteObjects.name) == 1)
    #expect(await store.keys.isEmpty)
  }

  @Test func `a failed batch is a failure of each of its paths`() async throws {
    await place(["a", "b"])
    await store.inject { call, _ in
      S3Error(
        operation: call.operation, bucket: "bucket", key: nil, status: 500, code: "InternalError", message: ""
      )
    }
    let outcome = try await remover().remove(["a", "b"], of: 2)
    #expect(outcome.failed.keys.sorted() == ["a", "b"])
    #expect(outcome.deleted.isEmpty)
  }

  @Test func `NFC and NFD names are two objects`() async throws {
    try directory.write("root/caf\u{e9}", "x")
    await place(["caf\u{e9}", "cafe\u{301}"])
    let outcome = try await remover().remove(["caf\u{e9}", "cafe\u{301}"], of: 2)
    #expect(outcome.deleted == ["cafe\u{301}"])
    #expect(await store.keys.map { RelativePath($0) } == ["p/caf\u{e9}"])
  }

  @Test func `a file's object goes when a directory has taken its name`() async throws {
    try directory.makeDirectory("root/name")
    await place(["name", "name/file"])
    let outcome = try await remover().remove(["name"], of: 2)
    #expect(outcome.deleted == ["name"])
    #expect(await store.keys == ["p/name/file"])
  }

  @Test func `a directory marker goes when its directory is gone`() async throws {
    await place(["gone/", "here/"])
    try directory.makeDirectory("root/here")
    let outcome = try await remover().remove(["gone/", "here/"], of: 2)
    #expect(outcome.deleted == ["gone/"])
    #expect(outcome.withheld.isEmpty)
  }
}
