import LocalTree
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

@Suite struct ListingAheadTests {
  @Test(.promise("CHG-11"), arguments: 0..<150)
  func `a listing read ahead is the plain one, whatever the keys, the order and the waypoints`(seed: Int)
    async throws
  {
    var random = SplitMix64(seed: UInt64(seed))
    let names = ["a", "b", "a-b", "a!", "é", "a b", "+", "z"]
    func key() -> String {
      (0..<Int.random(in: 1...3, using: &random)).map { _ in names.randomElement(using: &random) ?? "a" }
        .joined(separator: "/")
    }
    let store = FakeObjectStore(
      behaviour: .init(
        order: Bool.random(using: &random) ? .tree : .bytes, pageLimit: Int.random(in: 1...5, using: &random))
    )
    for _ in 0..<Int.random(in: 0...60, using: &random) { await store.place("in/" + key(), []) }
    await store.place("other", [])
    // A tree like the bucket, or any other; in order as a walk's, or not.
    var paths = (0..<Int.random(in: 0...60, using: &random)).map { _ in RelativePath(key()) }
    if Bool.random(using: &random) { paths += await store.keys.map { RelativePath(String($0.dropFirst(3))) } }
    if Int.random(in: 0..<4, using: &random) > 0 { paths.sort() }
    let waypoints = Waypoints(stride: Int.random(in: 1...6, using: &random))
    waypoints.pass(paths)

    let listing = Listing(store: store, prefix: "in/")
    var ahead = ListingAhead(listing: listing, waypoints: waypoints, mapping: .tree(prefix: "in/"))
    ahead.limits = .init(
      slowAnswer: .zero, slowPages: Int.random(in: 1...3, using: &random),
      stretches: Int.random(in: 1...4, using: &random),
      pages: Int.random(in: 1...3, using: &random))
    #expect(try await keys(of: ahead.forEachPage) == keys(of: listing.forEachPage))
  }

  @Test func `a server that knows no start-after is listed to its end`() async throws {
    let store = FakeObjectStore(behaviour: .init(pageLimit: 2))
    for number in 10..<40 { await store.place("\(number)", []) }
    let deaf = DeafStore(base: store)
    let waypoints = Waypoints(stride: 3)
    waypoints.pass((10..<40).map { RelativePath("\($0)") })
    var ahead = ListingAhead(
      listing: Listing(store: deaf, prefix: ""), waypoints: waypoints, mapping: .tree(prefix: ""))
    ahead.limits.slowAnswer = .zero
    ahead.limits.stretches = 2
    #expect(try await keys(of: ahead.forEachPage) == (10..<40).map { "\($0)" })
    // 15 pages, and the two stretches of which one showed it.
    #expect(await store.count(of: ListObjectsV2.name) <= 15 + 2 * Waypoints.pages)
  }

  @Test func `a stretch that cannot be listed is listed in its turn`() async throws {
    let store = FakeObjectStore(behaviour: .init(pageLimit: 2))
    for number in 10..<40 { await store.place("\(number)", []) }
    let failing = PlainListingStore(base: store)
    let waypoints = Waypoints(stride: 7)
    waypoints.pass((10..<40).map { RelativePath("\($0)") })
    var ahead = ListingAhead(
      listing: Listing(store: failing, prefix: ""), waypoints: waypoints, mapping: .tree(prefix: ""))
    ahead.limits.slowAnswer = .zero
    #expect(try await keys(of: ahead.forEachPage) == (10..<40).map { "\($0)" })
  }

  @Test func `a listing that breaks off is an error, wherever it was read`() async throws {
    let store = FakeObjectStore(behaviour: .init(pageLimit: 2))
    for number in 10..<40 { await store.place("\(number)", []) }
    await store.inject { call, _ in call.ordinal > 9 ? StandInError() : nil }
    let waypoints = Waypoints(stride: 7)
    waypoints.pass((10..<40).map { RelativePath("\($0)") })
    var ahead = ListingAhead(
      listing: Listing(store: store, prefix: ""), waypoints: waypoints, mapping: .tree(prefix: ""))
    ahead.limits.slowAnswer = .zero
    await #expect(throws: StandInError.self) { _ = try await keys(of: ahead.forEachPage) }
  }

  @Test func `where the tree is what is listed, reading ahead costs no request`() async throws {
    let tree = try TemporaryDirectory()
    let store = FakeObjectStore(behaviour: .init(pageLimit: 5))
    for number in 100..<300 {
      try tree.write("d\(number / 10)/\(number)")
      await store.place("in/d\(number / 10)/\(number)", [], lastModified: future)
    }
    let waypoints = Waypoints(stride: 4 * 5 - 1)
    waypoints.pass(Array(TreeWalk(root: try tree.root())))
    var ahead = ListingAhead(
      listing: Listing(store: store, prefix: "in/"), waypoints: waypoints, mapping: .tree(prefix: "in/"))
    ahead.limits.slowAnswer = .zero
    #expect(try await keys(of: ahead.forEachPage).count == 200)
    // 200 keys are 40 pages. Each of the eleven stretches shares a key with the next: eleven keys more.
    #expect(await store.count(of: ListObjectsV2.name) <= 40 + 3)
  }

  @Test func `stretches are listed at one time`() async throws {
    let store = FakeObjectStore(behaviour: .init(pageLimit: 2))
    for number in 10..<40 { await store.place("\(number)", []) }
    let waypoints = Waypoints(stride: 7)
    waypoints.pass((10..<40).map { RelativePath("\($0)") })
    // Nothing but the first two pages is answered before the four stretches were all asked for.
    let (gate, opening) = AsyncStream.makeStream(of: Void.self)
    let opened = Task { for await _ in gate {} }
    await store.hold { call in
      if call.ordinal == 6 { opening.finish() }
      if call.ordinal > 2 { await opened.value }
    }
    var ahead = ListingAhead(
      listing: Listing(store: store, prefix: ""), waypoints: waypoints, mapping: .tree(prefix: ""))
    ahead.limits.slowAnswer = .zero
    #expect(try await keys(of: ahead.forEachPage) == (10..<40).map { "\($0)" })
    #expect(await store.maxInFlight >= 4)
  }

  @Test(
    .promise("CHG-11"),
    arguments: [
      (waits: [nil], isSlow: false), (waits: [4], isSlow: false), (waits: [5], isSlow: true),
      (waits: [9, 4], isSlow: false), (waits: [4, 9, 9], isSlow: true),
    ] as [(waits: [Int?], isSlow: Bool)])
  func `only a server that takes long for two pages is listed ahead`(waits: [Int?], isSlow: Bool) async throws
  {
    let base = FakeObjectStore(behaviour: .init(pageLimit: 2))
    for number in 10..<20 { await base.place("\(number)", []) }
    let store = WaitingStore(base: base, waits: waits.map { $0.map { .milliseconds($0) } })
    let isAsked = Atomic(false)
    let waypoints = Waypoints(stride: 1) { isAsked.store(true, ordering: .relaxed) }
    waypoints.pass((10..<20).map { RelativePath("\($0)") })
    let ahead = ListingAhead(
      listing: Listing(store: store, prefix: ""), waypoints: waypoints, mapping: .tree(prefix: ""))
    #expect(try await keys(of: ahead.forEachPage).count == 10)
    #expect(isAsked.load(ordering: .relaxed) == isSlow)
    #expect(await (base.count(of: ListObjectsV2.name) > 5) == isSlow)
  }

  private func keys(of forEachPage: ((Listing.Page) async throws -> Bool) async throws -> Void) async throws
    -> [String]
  {
    var keys: [String] = []
    try await forEachPage { page in
      keys += page.content.objects.map(\.key)
      return true
    }
    return keys
  }
}

extension Waypoints {
  fileprivate func pass(_ paths: [RelativePath]) {
    pass(paths.map { .file($0, FileStamp(device: 1, inode: 1, size: 0, modified: 0, changed: 0)) })
  }
}

/// A server that ignores `start-after`.
private struct DeafStore: ObjectStore {
  let base: FakeObjectStore
  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    guard var listing = operation as? ListObjectsV2 else { return try await base.send(operation) }
    listing.startAfter = nil
    guard let output = try await base.send(listing) as? Operation.Output else { throw StandInError() }
    return output
  }
}

/// A server that takes a while before it begins its answer.
private final class WaitingStore: ObjectStore {
  let base: FakeObjectStore
  /// For each page; again from the first after the last.
  let waits: [Duration?]
  private let pages = Atomic(0)

  init(base: FakeObjectStore, waits: [Duration?]) {
    self.base = base
    self.waits = waits
  }

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    var answer = try await base.send(operation)
    if var page = answer as? ListObjectsV2.Output {
      let number = pages.add(1, ordering: .relaxed).oldValue
      page.wait = waits[number % waits.count]
      if let page = page as? Operation.Output { answer = page }
    }
    return answer
  }
}

/// A server on which only plain listings succeed.
private struct PlainListingStore: ObjectStore {
  let base: FakeObjectStore
  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    if let listing = operation as? ListObjectsV2, listing.startAfter != nil { throw StandInError() }
    return try await base.send(operation)
  }
}
