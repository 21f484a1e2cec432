import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// With `emptyDirectories: .marker` comparisons see directories in which nothing has a key.
@Suite struct MarkerSurveyTests {
  private func surveyor(
    _ tree: TemporaryDirectory, _ store: any ObjectStore, filter: PathFilter = .everything,
    policy: ComparePolicy = .standard
  ) throws -> Surveyor {
    var surveyor = Surveyor(try tree.root(), store, filter: filter, policy: policy)
    surveyor.emptyDirectories = .marker
    return surveyor
  }

  @Test(arguments: [FakeBucket.ListingOrder.bytes, .tree], [1, 2, 1000])
  func `an empty directory without its marker is a difference, in any listing order`(
    order: FakeBucket.ListingOrder, pageLimit: Int
  ) async throws {
    let tree = try TemporaryDirectory()
    for name in ["a", "a-b", "deep/er/est", "marked", "z"] { try tree.makeDirectory(name) }
    for name in ["full/file", "a.file", "deep/file"] { try tree.write(name, "x") }
    let store = FakeObjectStore(behaviour: .init(order: order, pageLimit: pageLimit))
    for key in ["marked/", "full/", "gone/"] { await store.place(key, [], lastModified: future) }
    for key in ["a.file", "full/file"] { await store.place(key, [120], lastModified: future) }
    for policy in ComparePolicy.allCases {
      let found = try await surveyor(tree, store, policy: policy).gathered()
      #expect(
        found.copies == [
          "a/": .absent, "a-b/": .absent, "deep/er/est/": .absent, "deep/file": .absent, "z/": .absent,
        ])
      #expect(found.extras == ["gone/"])
      #expect(found.suspects.allSatisfy { !$0.hasSuffix("/") })
      #expect(found.survey.localFiles == 3)
    }
  }

  @Test func `a part of the tree is compared with its own marker`() async throws {
    let tree = try TemporaryDirectory()
    try tree.makeDirectory("part")
    try tree.makeDirectory("other")
    let store = FakeObjectStore()
    #expect(try await surveyor(tree, store).gathered("part").copies == ["part/": .absent])
    await store.place("part/", [], lastModified: future)
    let found = try await surveyor(tree, store).gathered("part")
    #expect(found.copies == [:])
    #expect(found.extras == [])
  }

  @Test func `a directory that cannot be read is not empty`() {
    let chunks: [[WalkItem]] = [
      [.directory("a"), .unreadable("a", TreeError(.list, path: "a", errno: .permissionDenied))],
      [.directory("b")], [.skipped("b/link", .symbolicLink)], [.directory("c")],
      [.notUTF8(directory: "c", name: [255])], [.directory("d")],
    ]
    var walk = MarkerWalk(Script(chunks: chunks), from: .root, filter: .everything)
    var items: [WalkItem] = []
    while true {
      let chunk = walk.nextChunk(of: 2)
      if chunk.isEmpty { break }
      items += chunk
    }
    let markers = items.compactMap { item -> String? in
      if case .emptyDirectory(let directory) = item { directory.string } else { nil }
    }
    #expect(markers == ["b", "d"])
  }

  @Test func `a plan names markers, and a verification misses them`() async throws {
    let bench = try Workbench()
    try bench.tree.makeDirectory("empty")
    try bench.tree.write("file", "x")
    await bench.store.place("gone/", [], lastModified: future)
    let planner = UploadPlanner(
      name: "up", surveyor: try surveyor(bench.tree, bench.store), content: try bench.content(),
      commitOrder: CommitOrder { _ in false }, width: 2, delete: true, bound: .standard)
    var actions: [String] = []
    try await planner.plan { actions.append($0.description) }
    #expect(actions == ["upload new empty/", "upload new file", "delete extra gone/"])
    let verifier = Verifier(
      surveyor: try surveyor(bench.tree, bench.store), readers: bench.resources.readers, reading: .never,
      width: 2)
    var differences: [String] = []
    _ = try await verifier.verify { differences.append("\($0.kind.rawValue) \($0.path)") }
    #expect(differences == ["missing empty/", "missing file"])
  }

  private struct Script: WalkSource {
    var chunks: [[WalkItem]]

    mutating func nextChunk(of count: Int) -> [WalkItem] { chunks.isEmpty ? [] : chunks.removeFirst() }
  }
}
