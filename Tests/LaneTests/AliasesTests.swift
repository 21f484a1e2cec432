import Foundation
import Glibc
import LocalTree
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// What a pass is given besides its batch.
@Suite struct AliasesTests {
  private let directory: TemporaryDirectory
  private let root: TreeRoot
  // Old enough for every stamp to be trusted.
  private let aliases = Aliases(symlinks: .skip, wallClock: { wallClockNanoseconds() + 1_000_000_000 })
  private let ledger = PublishedLedger()
  private static let written = DirtyEntry(writer: .closed, firstChange: .now, lastChange: .now)

  /// `a` and `d/b` are one file, met at the entry.
  init() throws {
    directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory["d"], withIntermediateDirectories: false)
    close(creat(directory["a"], 0o644))
    try #require(link(directory["a"], directory["d/b"]) == 0)
    root = try TreeRoot(path: FilePath(directory.path))
    for path in ["a", "d/b"] {
      let stamp = try #require(root.stamp(ofFileAt: RelativePath(path)))
      aliases.note(RelativePath(path), stamp, metBy: .comparisonOfEverything)
    }
  }

  private func completed(
    _ paths: [RelativePath: DirtyEntry], waiting: Set<RelativePath> = []
  ) -> Set<RelativePath> {
    var batch = DirtySet.Batch(entries: paths)
    var aliases = AliasesOfTree(aliases: aliases, root: root, ledger: ledger)
    _ = aliases.addFurtherNames(to: &batch, compared: [], at: .now) { waiting.contains($0) }
    return Set(batch.entries.keys)
  }

  @Test func `a name that will be in a later batch is not added to this one`() {
    #expect(completed(["a": Self.written]) == ["a", "d/b"])
    #expect(completed(["a": Self.written], waiting: ["d/b"]) == ["a"])
  }

  @Test func `the other names of a written file wait if one name waits for a later batch`() {
    _ = aliases.told([.modified("a")], in: root, ledger)
    #expect(completed([:], waiting: ["a"]) == [])
    #expect(completed([:]) == ["a", "d/b"])
    #expect(completed([:]) == [])
  }

  @Test func `a name that is lost with its directory adds no other name if the file is unchanged`() throws {
    try FileManager.default.removeItem(atPath: directory["d"])
    _ = aliases.told([.directoryMovedAway("d")], in: root, ledger)
    #expect(completed([:]) == [])
  }

  @Test func `a name that is lost with its directory adds the other name if the file has changed`() throws {
    try FileManager.default.removeItem(atPath: directory["d"])
    try Data([1]).write(to: URL(fileURLWithPath: directory["a"]))
    _ = aliases.told([.directoryMovedAway("d")], in: root, ledger)
    #expect(completed([:]) == ["a"])
  }
}
