import HTTPTransport
import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// A comparison beside the evidence of earlier runs.
@Suite struct KnownEqualsTests {
  private let bench: Workbench
  private let cache: TemporaryDirectory
  private let names = ["a", "b/c", "b/d", "e"]

  init() async throws {
    bench = try Workbench(.init(pageLimit: 2))
    cache = try TemporaryDirectory()
    for name in names {
      try bench.tree.write(name, name)
      _ = try await bench.store.send(PutObject(key: name, body: BytesBody(Array(name.utf8))))
    }
  }

  private func store() throws -> EvidenceStore {
    let place = EvidencePlace(
      cache: FilePath(cache.path), bucket: "b", prefix: "", local: FilePath(bench.tree.path))
    return EvidenceStore(place, root: try bench.tree.root().identity, for: .writing)
  }

  private func note(_ names: [String], in ledger: PublishedLedger) async throws {
    for name in names {
      let path = RelativePath(name)
      let stamp = try #require(try bench.tree.root().look(at: path)).stamp
      let etag = try await bench.store.send(HeadObject(key: name)).etag
      ledger.note(.init(stamp: stamp, etag: etag, stampLasts: true), for: path)
    }
  }

  private func suspects(
    _ evidence: EvidenceStore, ledger: PublishedLedger? = nil, in directory: RelativePath = .root,
    policy: ComparePolicy = .standard
  ) async throws -> [String] {
    var surveyor = Surveyor(try bench.tree.root(), bench.store, policy: policy)
    surveyor.evidence = evidence
    surveyor.ledger = ledger
    return try await surveyor.gathered(directory).suspects
  }

  @Test(.promise("CHG-14"))
  func `only what is not known is left to be settled by content`() async throws {
    let first = try store()
    #expect(try await suspects(first) == names)
    try await note(["b/c", "e"], in: PublishedLedger(evidence: first))
    first.close()
    let second = try store()
    #expect(try await suspects(second) == ["a", "b/d"])
    #expect(try await suspects(second, in: "b") == ["b/d"])
    #expect(try await suspects(second, policy: .checksum) == names)
  }

  /// The comparison at the end of a run that published more files than its ledger holds.
  @Test(.promise("CHG-14"))
  func `a run knows by its notes what its memory has no room for`() async throws {
    let evidence = try store()
    let ledger = PublishedLedger(evidence: evidence, capacity: 2)
    try await note(["a", "e"], in: ledger)
    // The ledger holds these itself.
    #expect(try await suspects(evidence, ledger: ledger) == names)
    try await note(["b/d"], in: ledger)
    try #require(ledger.hasForgotten)
    #expect(try await suspects(evidence, ledger: ledger) == ["b/c"])
  }

  @Test(.promise("CHG-15"))
  func `a snapshot is no evidence`() async throws {
    let first = try store()
    let ledger = PublishedLedger(evidence: first)
    let stamp = try #require(try bench.tree.root().look(at: "a")).stamp
    let etag = try await bench.store.send(HeadObject(key: "a")).etag
    ledger.note(.init(stamp: stamp, etag: etag, isSnapshot: true, stampLasts: true), for: "a")
    first.close()
    #expect(try await suspects(try store()) == names)
  }

  /// Servers that list in another order: what was met until that was found out is no reason to forget anything.
  @Test(.promise("CHG-16"), arguments: [FakeBucket.ListingOrder.bytes, .tree])
  func `what is there is not forgotten, in whatever order it is listed`(order: FakeBucket.ListingOrder)
    async throws
  {
    let bench = try Workbench(.init(order: order, pageLimit: 1))
    let names = ["a", "a-b", "a/b", "a/c", "b"]
    for name in names where name != "a" { try bench.tree.write(name, name) }
    for name in names { _ = try await bench.store.send(PutObject(key: name, body: BytesBody([1]))) }
    let place = EvidencePlace(
      cache: FilePath(cache.path), bucket: "b", prefix: "", local: FilePath(bench.tree.path))
    let root = try bench.tree.root().identity
    let first = EvidenceStore(place, root: root, for: .writing)
    for name in names + ["gone", "a/gone"] { first.note(RelativePath(name), EvidenceEntry(etag: name)) }
    first.close()
    let second = EvidenceStore(place, root: root, for: .writing)
    var surveyor = Surveyor(try bench.tree.root(), bench.store)
    surveyor.evidence = second
    _ = try await surveyor.gathered()
    second.close()
    var stream = EvidenceStore(place, root: root, for: .reading).stream()
    let known = (names + ["gone", "a/gone"]).sorted { RelativePath($0) < RelativePath($1) }
      .filter { stream.entry(of: RelativePath($0)) != nil }
    #expect(known.sorted() == names.sorted())
  }
}
