import Foundation
import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// A walk that cannot read some directories.
private struct PartlyBlindWalk: WalkSource {
  var base: TreeWalk
  let blind: Set<RelativePath>
  private var told: Set<RelativePath> = []

  init(base: TreeWalk, blind: Set<RelativePath>) {
    self.base = base
    self.blind = blind
  }

  mutating func nextChunk(of count: Int) -> [WalkItem] {
    while true {
      let chunk = base.nextChunk(of: count)
      if chunk.isEmpty {
        let rest = blind.subtracting(told).sorted()
        told = blind
        return rest.map { .unreadable($0, error) }
      }
      let seen = chunk.filter { item in
        switch item {
        case .file(let path, _), .pointer(let path, _, _), .link(let path, _, _), .directory(let path),
          .emptyDirectory(let path),
          .skipped(let path, _),
          .unreadable(let path, _):
          !blind.contains { path.isWithin($0) }
        case .notUTF8: true
        }
      }
      if !seen.isEmpty { return seen }
    }
  }

  private var error: TreeError { TreeError(.list, path: "x", errno: .permissionDenied) }
}

/// A random pair of a tree and a bucket, and what goes wrong between them.
private struct Scenario {
  static let names = ["a", "b", "a-b", "a!", "b.tmp", "é", "x\\y", "c"]

  var tree: TemporaryDirectory
  var store: FakeObjectStore
  /// Keys whose local file exists when the comparison is made, or must be left alone for another reason.
  var mustStay: Set<String> = []
  var superfluous: Set<String> = []
  var blind: Set<RelativePath> = []
  /// A file that appears between the comparison and the deletes.
  var returning: [String] = []

  static func path(_ random: inout SplitMix64) -> String {
    (0..<Int.random(in: 1...3, using: &random)).map { _ in names.randomElement(using: &random) ?? "a" }
      .joined(separator: "/")
  }

  init(_ random: inout SplitMix64) async throws {
    tree = try TemporaryDirectory()
    store = FakeObjectStore(
      behaviour: .init(
        order: Bool.random(using: &random) ? .tree : .bytes, pageLimit: Int.random(in: 1...6, using: &random))
    )
    // Directories that cannot be read now; what is in them is not even there, so that no second look can save it.
    for _ in 0..<Int.random(in: 0...2, using: &random) { blind.insert(RelativePath(Self.path(&random))) }
    var local: Set<RelativePath> = []
    for _ in 0..<Int.random(in: 0...25, using: &random) {
      let path = RelativePath(Self.path(&random))
      guard !blind.contains(where: { path.isWithin($0) || $0.isWithin(path) }),
        !local.contains(where: { path.isWithin($0) || $0.isWithin(path) })
      else { continue }
      try tree.write(path.string)
      local.insert(path)
    }
    var keys = Set(local.filter { _ in Bool.random(using: &random) }.map(\.string))
    for _ in 0..<Int.random(in: 0...25, using: &random) { keys.insert(Self.path(&random)) }
    for key in ["../up", "a//b", "own.tmp"] where Bool.random(using: &random) { keys.insert(key) }
    for key in keys { await store.place(key, []) }
    let aliases = Set(
      local.filter { !keys.contains($0.string) }.map { $0.string.replacingOccurrences(of: "\\", with: "/") })
    for key in keys {
      let path = RelativePath(key)
      // A directory of the key's name is no file that could stand for the object.
      let isPresent = local.contains(path)
      let isUnseen = blind.contains { path.isWithin($0) }
      let isForeign = key.hasSuffix(".tmp") || key.contains(".tmp/") || UnsafeKey.Reason(path) != nil
      if isPresent || isUnseen || isForeign || aliases.contains(key) {
        mustStay.insert(key)
      } else {
        superfluous.insert(key)
      }
    }
    for key in superfluous.sorted() where Int.random(in: 0..<6, using: &random) == 0 {
      returning.append(key)
    }
  }

  /// Makes the returning files, as far as other files leave room.
  mutating func letReturn() {
    for key in returning {
      do {
        try tree.write(key)
        mustStay.insert(key)
        superfluous.remove(key)
      } catch {
        continue
      }
    }
  }
}

@Suite struct DeletePropertyTests {
  @Test(arguments: 0..<150)
  func `no object is deleted whose file exists or could not be seen`(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    var scenario = try await Scenario(&random)
    let root = try scenario.tree.root()
    let store = scenario.store
    let before = Set(await store.keys)
    let failing = Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 1...8, using: &random) : nil
    await store.inject { call, _ in
      call.operation == ListObjectsV2.name && call.ordinal == failing ? StandInError() : nil
    }
    let filter = try PathFilter(exclude: ["*.tmp"])
    let blind = scenario.blind
    let surveyor = Surveyor(root, store, filter: filter) { directory in
      PartlyBlindWalk(base: TreeWalk(root: root, start: directory, filter: filter), blind: blind)
    }
    let mayExceed = Bool.random(using: &random)
    let bound: DeleteBound = mayExceed ? .unlimited : .standard
    let survey: Survey
    let extras: Extras
    do {
      (survey, extras) = try await surveyor.survey { _ in }
    } catch is StandInError {
      // Nothing can be deleted of what was not listed in full.
      #expect(Set(await store.keys) == before)
      return
    }
    scenario.letReturn()
    let isReplaced = Int.random(in: 0..<8, using: &random) == 0
    if isReplaced { try replace(scenario.tree) }
    let blanket = survey.blanketReason(bound: bound, wasEmptyAtEntry: false, unpublished: nil)
    let outcome = await InferredDeletes(root: root, survey: survey, bound: bound, blanket: blanket).carryOut(
      extras,
      with: RemoteRemover(
        name: "test", root: root, mapping: .tree(prefix: ""), store: store, bound: bound, journal: journal(),
        ledger: PublishedLedger()))

    let after = Set(await store.keys)
    #expect(scenario.mustStay.subtracting(after) == [], "seed \(seed)")
    #expect(outcome.deleted == before.count - after.count)
    if isReplaced || blanket != nil {
      #expect(after == before)
    } else if mayExceed {
      // And what is superfluous does go: a guard that withholds everything proves nothing.
      #expect(scenario.superfluous.intersection(after) == [], "seed \(seed)")
    } else if !(before.subtracting(after)).isEmpty {
      let deleted = before.count - after.count
      #expect(deleted <= 10 || deleted * 2 <= survey.remoteObjects)
    }
  }

  private func replace(_ tree: TemporaryDirectory) throws {
    try FileManager.default.moveItem(atPath: tree.path, toPath: tree.path + "-moved")
    try FileManager.default.createDirectory(atPath: tree.path, withIntermediateDirectories: true)
    try FileManager.default.removeItem(atPath: tree.path + "-moved")
  }
}
