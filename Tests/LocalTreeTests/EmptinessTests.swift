import LocalTree
import MirrorModel
import SystemPackage
import TestSupport
import Testing

/// Which directories need a marker.
@Suite struct EmptinessTests {
  private func isEmpty(
    _ tree: TemporaryDirectory, filter: PathFilter = .everything, symlinks: SymlinkPolicy = .skip
  ) throws -> Bool? {
    let root = try TreeRoot(path: FilePath(tree.path), symlinks: symlinks)
    return try root.isEmptyDirectory("d", filter: filter)
  }

  @Test func `a directory is empty when nothing in it can have a key`() throws {
    let tree = try TemporaryDirectory()
    try tree.makeDirectory("d")
    #expect(try isEmpty(tree) == true)
    try tree.fifo("d/fifo")
    try tree.link("d/link", to: "../elsewhere")
    #expect(try isEmpty(tree) == true)
    try tree.write("d/x.tmp")
    #expect(try isEmpty(tree) == false)
    #expect(try isEmpty(tree, filter: PathFilter(exclude: ["*.tmp"])) == true)
    try tree.makeDirectory("d/below")
    #expect(try isEmpty(tree, filter: PathFilter(exclude: ["*.tmp"])) == false)
  }

  @Test func `a link that is followed counts as what it leads to`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("elsewhere")
    try tree.makeDirectory("d")
    try tree.link("d/nowhere", to: "../nothing")
    #expect(try isEmpty(tree, symlinks: .follow) == true)
    try tree.link("d/link", to: "../elsewhere")
    #expect(try isEmpty(tree, symlinks: .follow) == false)
  }

  @Test func `what is no directory has no answer`() throws {
    let tree = try TemporaryDirectory()
    #expect(try isEmpty(tree) == nil)
    try tree.write("d")
    #expect(try isEmpty(tree) == nil)
  }
}
