import Glibc
import HTTPTransport
import LocalTree
import Logging
import MirrorModel
import S3Client
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// The guard on deletes, at the last step before an object goes.
@Suite struct RemoteRemoverTests {
  private let directory: TemporaryDirectory
  private let store = FakeObjectStore()

  init() throws {
    directory = try TemporaryDirectory()
    try directory.makeDirectory("root")
  }

  private let ledger = PublishedLedger()

  private func remover(
    bound: DeleteBound = .standard, condition: Options.DeleteCondition = .none,
    through other: (any ObjectStore)? = nil
  ) throws -> RemoteRemover {
    RemoteRemover(
      name: "up", root: try TreeRoot(path: FilePath(directory["root"])), mapping: .tree(prefix: "p/"),
      store: other ?? store, bound: bound,
      journal: Journal(log: nil, logger: Logger(label: "test"), observer: nil, bucket: "bucket"),
      ledger: ledger, condition: condition)
  }

  private func place(_ names: [RelativePath]) async {
    for name in names { await store.place("p/" + name.string, [1]) }
  }

  @Test func `objects without a file are deleted, and those with a file stay`() async throws {
    try directory.write("root/here", "x")
    await place(["here", "gone", "deep/gone"])
    let outcome = try await remover().remove(["here", "gone", "deep/gone"], of: 3)
    #expect(outcome.deleted.sorted() == ["deep/gone", "gone"])
    #expect(outcome.kept == ["here"])
    #expect(outcome.withheld == [:])
    #expect(await store.keys == ["p/here"])
  }

  @Test(.promise("DEL-3"))
  func `a root that was replaced withholds everything`() async throws {
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

  @Test(.promise("DEL-3"))
  func `a path that cannot be read does not count as absent`() async throws {
    // ENAMETOOLONG.
    let long = RelativePath(String(repeating: "n", count: 256))
    await place([long, "gone"])
    let outcome = try await remover().remove([long, "gone"], of: 2)
    #expect(outcome.withheld == [long: .unseen(long)])
    #expect(outcome.deleted == ["gone"])
  }

  @Test func `a link that replaced a directory keeps the objects below it`() async throws {
    await place(["link/below", "link/deep/below", "gone"])
    try directory.link("root/link", to: "/nowhere")
    let outcome = try await remover().remove(["link/below", "link/deep/below", "gone"], of: 3)
    #expect(outcome.kept == ["link/below", "link/deep/below"])
    #expect(outcome.withheld == [:])
    #expect(outcome.deleted == ["gone"])
  }

  @Test func `objects of files below a mount are withheld, and do not count for the bound`() async throws {
    let hidden = (0..<11).map { RelativePath("m/\($0)") }
    await place(hidden + ["gone"])
    var remover = try remover()
    remover.hiddenPlaces = { _ in TreeMounts.View(hidden: ["m"]) }
    let outcome = await remover.remove(hidden + ["gone"], of: 12)
    #expect(outcome.withheld == Dictionary(uniqueKeysWithValues: hidden.map { ($0, .remounted("m")) }))
    #expect(outcome.deleted == ["gone"])
  }

  @Test func `paths that were read while a mount changed are read again`() async throws {
    await place(["a", "gone"])
    var remover = try remover()
    let asked = Mutex(0)
    let file = directory["root/a"]
    remover.hiddenPlaces = { _ in
      let number = asked.withLock { asked in
        asked += 1
        return asked
      }
      // Something that hid the file is unmounted between the first look and the end of it.
      if number == 2 { close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)) }
      return TreeMounts.View(changes: number < 2 ? 0 : 1)
    }
    let outcome = await remover.remove(["a", "gone"], of: 2)
    #expect(outcome.kept == ["a"])
    #expect(outcome.deleted == ["gone"])
  }

  @Test func `nothing is deleted while the table of mounts cannot be read`() async throws {
    await place(["gone"])
    var remover = try remover()
    remover.hiddenPlaces = { _ throws(TreeError) in
      throw TreeError(.look, path: "/proc/self/mountinfo", errno: .tooManyOpenFiles)
    }
    let outcome = await remover.remove(["gone"], of: 1)
    #expect(outcome.withheld == ["gone": .unseen(.root)])
    #expect(await store.keys == ["p/gone"])
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

  @Test func `the bound counts only files that are absent`() async throws {
    let names = (0..<11).map { RelativePath("\($0)") }
    await place(names)
    try directory.write("root/0", "x")
    let outcome = try await remover().remove(names, of: 11)
    #expect(outcome.deleted.count == 10)
  }

  @Test func `more than 1,000 keys are deleted in batches`() async throws {
    let names = (0..<2001).map { RelativePath("\($0)") }
    await place(names)
    let outcome = try await remover(bound: .unlimited).remove(names, of: 2001)
    #expect(outcome.deleted.count == 2001)
    #expect(await store.count(of: DeleteObjects.name) == 3)
    #expect(await store.keys.isEmpty)
  }

  @Test func `keys that XML cannot contain are deleted one by one`() async throws {
    let odd: RelativePath = "bell\u{7}"
    await place([odd, "plain"])
    let outcome = try await remover().remove([odd, "plain"], of: 2)
    #expect(outcome.deleted.sorted() == [odd, "plain"])
    #expect(await store.count(of: DeleteObject.name) == 1)
    #expect(await store.count(of: DeleteObjects.name) == 1)
    #expect(await store.keys.isEmpty)
  }

  @Test(arguments: [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "InvalidRequest")])
  func `a server without DeleteObjects is sent single deletes, after one attempt`(
    status: Int, code: String
  ) async throws {
    let names = (0..<25).map { RelativePath("\($0)") }
    await place(names)
    await store.inject { call, _ in
      call.operation == DeleteObjects.name ? call.refusal(status: status, code: code) : nil
    }
    let remover = try remover(bound: .unlimited)
    let first = await remover.remove(Array(names[..<15]), of: 25)
    let second = await remover.remove(Array(names[15...]), of: 10)
    #expect(first.deleted.count == 15)
    #expect(second.deleted.count == 10)
    #expect(first.failed.isEmpty && second.failed.isEmpty)
    #expect(await store.count(of: DeleteObjects.name) == 1)
    #expect(await store.count(of: DeleteObject.name) == 25)
    #expect(await store.keys.isEmpty)
  }

  @Test func `a denied permission does not mean that the server lacks DeleteObjects`() async throws {
    await place(["a"])
    await store.inject { call, _ in call.refusal(status: 403, code: "AccessDenied") }
    let outcome = try await remover().remove(["a"], of: 1)
    #expect(outcome.failed.keys.sorted() == ["a"])
    #expect(await store.count(of: DeleteObject.name) == 0)
  }

  @Test func `a key that the answer does not confirm is deleted by itself`() async throws {
    await place(["a", "b"])
    let silent = SilentDeletes(store)
    let remover = try remover(through: silent)
    let outcome = await remover.remove(["a", "b"], of: 2)
    #expect(outcome.deleted.sorted() == ["a", "b"])
    #expect(await store.count(of: DeleteObject.name) == 2)
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

  @Test(.promise("DEL-3"))
  func `the object of a file is deleted when a directory has its name`() async throws {
    try directory.makeDirectory("root/name")
    await place(["name", "name/file"])
    let outcome = try await remover().remove(["name"], of: 2)
    #expect(outcome.deleted == ["name"])
    #expect(await store.keys == ["p/name/file"])
  }

  // MARK: If-Match

  private func listed(_ etag: String) -> RemoteObject {
    RemoteObject(byteCount: 1, etag: etag, lastModified: 0)
  }

  private func publish(_ name: RelativePath, _ bytes: [UInt8]) async throws {
    await store.place("p/" + name.string, bytes)
    let etag = try #require(await store.object("p/" + name.string)).etag
    let stamp = FileStamp(device: 1, inode: 1, size: 1, modified: 1, changed: 1)
    ledger.note(.init(stamp: stamp, etag: etag), for: name)
  }

  @Test(.promise("DEL-8"))
  func `with a condition, an object that another writer replaced stays`() async throws {
    let odd: RelativePath = "bell\u{7}"
    for name in ["mine", "theirs", odd, "odd\u{7}theirs"] as [RelativePath] { try await publish(name, [1]) }
    await store.place("p/theirs", [2])
    await store.place("p/odd\u{7}theirs", [2])
    let names: [RelativePath] = ["mine", "theirs", odd, "odd\u{7}theirs"]
    let outcome = try await remover(condition: .ifMatch).remove(names, of: 4)
    #expect(outcome.deleted.sorted() == [odd, "mine"])
    #expect(outcome.withheld == ["theirs": .replaced, "odd\u{7}theirs": .replaced])
    #expect(outcome.failed.isEmpty)
    #expect(await store.keys == ["p/odd\u{7}theirs", "p/theirs"])
    // A listing that shows their object does not make it ours.
    let theirs = try #require(await store.object("p/theirs")).etag
    let again = try await remover(condition: .ifMatch).remove(
      ["theirs"], of: 2, listed: ["theirs": listed(theirs)])
    #expect(again.withheld == ["theirs": .replaced])
    #expect(await store.count(of: HeadObject.name) == 0)
    // Without the condition it goes.
    #expect(try await remover().remove(["theirs"], of: 2).deleted == ["theirs"])
  }

  @Test(.promise("DEL-8"))
  func `an object that was only listed is deleted if it is still the same`() async throws {
    await place(["same", "other"])
    let etag = try #require(await store.object("p/same")).etag
    await store.place("p/other", [2])
    let outcome = try await remover(condition: .ifMatch).remove(
      ["same", "other"], of: 2, listed: ["same": listed(etag), "other": listed(etag)])
    #expect(outcome.deleted == ["same"])
    #expect(outcome.withheld == ["other": .replaced])
    #expect(await store.count(of: HeadObject.name) == 0)
  }

  @Test(.promise("DEL-8"))
  func `an object that was neither published nor listed is checked by a request`() async throws {
    await place(["here", "raced"])
    let store = store
    await store.hold { call in
      if call.operation == DeleteObjects.name { await store.place("p/raced", [2]) }
    }
    let outcome = try await remover(condition: .ifMatch).remove(["here", "raced", "gone"], of: 3)
    #expect(outcome.deleted.sorted() == ["gone", "here"])
    #expect(outcome.withheld == ["raced": .replaced])
    #expect(await store.count(of: HeadObject.name) == 3)
  }

  @Test func `an object that is already gone counts as deleted`() async throws {
    try await publish("gone", [1])
    await store.remove("p/gone")
    let outcome = try await remover(condition: .ifMatch).remove(["gone"], of: 1)
    #expect(outcome.deleted == ["gone"])
    #expect(outcome.failed.isEmpty)
  }

  @Test func `a bucket that is gone is a failure, not a delete`() async throws {
    try await publish("a", [1])
    await store.inject { call, _ in
      S3Error(
        operation: call.operation, bucket: "bucket", key: nil, status: 404, code: "NoSuchBucket", message: "")
    }
    let outcome = try await remover(condition: .ifMatch).remove(["a"], of: 1)
    #expect(outcome.failed.keys.sorted() == ["a"])
    #expect(outcome.deleted.isEmpty)
  }

  @Test func `a directory marker is deleted when its directory is gone`() async throws {
    for name in ["p/gone/", "p/here/"] { await store.place(name, []) }
    try directory.makeDirectory("root/here")
    let outcome = try await remover().remove(["gone/", "here/"], of: 2)
    #expect(outcome.deleted == ["gone/"])
    #expect(outcome.withheld.isEmpty)
    #expect(await store.keys == ["p/here/"])
  }

  @Test func `an object with content at a directory marker's key stays`() async throws {
    await place(["full/", "full/x"])
    await store.place("p/empty/", [])
    let outcome = try await remover().remove(["full/", "empty/", "none/"], of: 3)
    #expect(outcome.deleted.sorted() == ["empty/", "none/"])
    #expect(outcome.withheld == ["full/": .markerWithContent])
    #expect(await store.keys == ["p/full/", "p/full/x"])
  }
}

/// Answers DeleteObjects with a document that names no key, and deletes none.
private struct SilentDeletes: ObjectStore {
  private let base: any ObjectStore

  init(_ base: any ObjectStore) { self.base = base }

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    guard operation is DeleteObjects else { return try await base.send(operation) }
    let http = HTTPResponse(status: 200, body: Array("<DeleteResult/>".utf8))
    return try operation.output(from: S3Response(bucket: bucket, key: nil, http: http))
  }
}
