import Foundation
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree

@Suite struct TreeRootTests {
  static let resolutions: [TreeRoot.Resolution] = [.kernel, .componentwise]

  private func root(_ tree: TemporaryDirectory, _ resolution: TreeRoot.Resolution) throws -> TreeRoot {
    try TreeRoot(path: FilePath(tree.path), resolution: resolution)
  }

  @Test(arguments: resolutions)
  func `looking tells what lies at a path`(resolution: TreeRoot.Resolution) throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/e/file", "12345")
    try tree.link("d/link", to: "e/file")
    try tree.fifo("d/fifo")
    let root = try root(tree, resolution)
    let entry = try #require(try root.look(at: "d/e/file"))
    #expect(entry.kind == .file)
    #expect(entry.stamp.size == 5)
    #expect(entry.stamp.links == 1)
    #expect(try root.look(at: "d/e")?.kind == .directory)
    #expect(try root.look(at: "d/link")?.kind == .symbolicLink)
    #expect(try root.look(at: "d/link", symlinks: .follow)?.stamp == entry.stamp)
    #expect(try root.look(at: "d/fifo")?.kind == .special)
    #expect(try root.look(at: .root)?.stamp.inode == root.identity.inode)
  }

  @Test(.promise("DEL-3"), arguments: resolutions)
  func `only ENOENT and ENOTDIR are absence`(resolution: TreeRoot.Resolution) throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/file")
    try tree.link("away", to: "d")
    let root = try root(tree, resolution)
    #expect(try root.look(at: "d/other") == nil)
    #expect(try root.look(at: "none/other") == nil)
    #expect(try root.look(at: "d/file/below") == nil)
    #expect(try root.look(at: "d/file/below/that") == nil)
    #expect(
      throws: TreeError(
        .look, path: tree["away/file"], errno: .tooManySymbolicLinkLevels, detail: .behindLink("away"))
    ) {
      try root.look(at: "away/file")
    }
    #expect(
      throws: TreeError(
        .look, path: tree["away/other"], errno: .tooManySymbolicLinkLevels, detail: .behindLink("away"))
    ) {
      try root.look(at: "away/other")
    }
    let long = RelativePath("d/" + String(repeating: "n", count: 256))
    #expect(throws: TreeError(.look, path: tree[long.string], errno: .fileNameTooLong)) {
      try root.look(at: long)
    }
  }

  @Test(arguments: resolutions)
  func `a link among the directories above a path is told from one at its end`(
    resolution: TreeRoot.Resolution
  ) throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/e/file")
    try tree.link("d/e/link", to: "file")
    try tree.link("d/away", to: "e")
    try tree.link("circle", to: "circle")
    let root = try root(tree, resolution)
    for path: RelativePath in ["d/away/file", "d/away/none", "d/away/deep/none"] {
      let look = Result { () throws(TreeError) in try root.look(at: path) }
      let open = Result { () throws(TreeError) in try root.open(path) }
      for error in [look.failure, open.failure] { #expect(error?.linkAbove == "d/away", "\(path)") }
    }
    #expect(throws: TreeError.self) { try root.open("d/e/link") }
    #expect(Result { () throws(TreeError) in try root.open("d/e/link") }.failure?.linkAbove == nil)
    #expect(try root.look(at: "d/away")?.kind == .symbolicLink)
    #expect(
      Result { () throws(TreeError) in try root.look(at: "circle/x") }.failure?.linkAbove == "circle")
  }

  @Test func `a root that follows links sees one that leads nowhere as a link`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/file", "12345")
    try tree.link("whole", to: "d/file")
    try tree.link("broken", to: "d/none")
    try tree.link("way", to: "d")
    let root = try TreeRoot(path: FilePath(tree.path), symlinks: .follow)
    #expect(try root.look(at: "whole")?.kind == .file)
    #expect(try root.look(at: "way/file")?.kind == .file)
    #expect(try root.look(at: "broken")?.kind == .symbolicLink)
    #expect(try root.look(at: "way/none") == nil)
    #expect(try root.open("way/file")?.stamp.size == 5)
  }

  @Test(.promise("DOWN-3"), arguments: resolutions)
  func `no path leads out of the root`(resolution: TreeRoot.Resolution) throws {
    let outside = try TemporaryDirectory()
    try outside.write("d/secret", "s")
    let tree = try TemporaryDirectory()
    try tree.makeDirectory("in")
    try tree.link("in/away", to: outside["d"])
    let root = try root(tree, resolution)
    let climb = RelativePath("../" + URL(fileURLWithPath: outside.path).lastPathComponent + "/d/secret")
    for path: RelativePath in [climb, "in/../../x", "/etc/passwd", "in/away/secret", "in\0x"] {
      #expect(throws: TreeError.self, "\(path)") { try root.look(at: path) }
      #expect(throws: TreeError.self, "\(path)") { try root.open(path) }
      #expect(throws: TreeError.self, "\(path)") { try root.remove(path) }
    }
    #expect(try outside.text("d/secret") == "s")
    #expect(try root.open("in/away/secret", symlinks: .follow) != nil)
  }

  @Test(arguments: resolutions)
  func `only regular files are opened, and a FIFO does not block`(resolution: TreeRoot.Resolution) throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/file", "1")
    try tree.fifo("d/fifo")
    try tree.link("d/link", to: "file")
    let root = try root(tree, resolution)
    #expect(try root.open("d/file")?.stamp == root.look(at: "d/file")?.stamp)
    #expect(try root.open("d/none") == nil)
    #expect(try root.open("d/file/below") == nil)
    #expect(throws: TreeError(.open, path: tree["d/link"], errno: .tooManySymbolicLinkLevels)) {
      try root.open("d/link")
    }
    #expect(
      throws: TreeError(.open, path: tree["d/fifo"], errno: .invalidArgument, detail: .notRegular(.special))
    ) { try root.open("d/fifo") }
    #expect(throws: TreeError(.open, path: tree["d"], errno: .isDirectory, detail: .notRegular(.directory))) {
      try root.open("d")
    }
  }

  @Test func `a root that was replaced or removed is told from the one that was opened`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("root/file")
    let root = try TreeRoot(path: FilePath(tree["root"]))
    #expect(try root.currentIdentity() == root.identity)
    try FileManager.default.moveItem(atPath: tree["root"], toPath: tree["moved"])
    #expect(try root.currentIdentity() == nil)
    try tree.makeDirectory("root")
    #expect(try root.currentIdentity() != root.identity)
    // What was opened is still the old tree.
    #expect(try root.look(at: "file") != nil)
  }

  @Test func `a root must be a directory`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("file")
    #expect(throws: TreeError(.openRoot, path: tree["file"], errno: .notDirectory)) {
      try TreeRoot(path: FilePath(tree["file"]))
    }
    #expect(throws: TreeError(.openRoot, path: tree["none"], errno: .noSuchFileOrDirectory)) {
      try TreeRoot(path: FilePath(tree["none"]))
    }
  }

  @Test func `removing takes files and links, and only empty directories`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/file")
    try tree.link("d/link", to: "file")
    let root = try tree.root()
    #expect(throws: TreeError(.remove, path: tree["d"], errno: .isDirectory)) { try root.remove("d") }
    try root.remove("d/link")
    #expect(try root.look(at: "d/file") != nil)
    #expect(try !root.removeEmptyDirectory("d"))
    try root.remove("d/file")
    try root.remove("d/file")
    #expect(try root.removeEmptyDirectory("d"))
    #expect(try root.removeEmptyDirectory("d"))
    #expect(try tree.names() == [])
  }

  @Test func `directories are made as deep as needed, never through a link`() throws {
    let outside = try TemporaryDirectory()
    let tree = try TemporaryDirectory()
    let root = try tree.root()
    try root.makeDirectory("a/b/c")
    try root.makeDirectory("a/b/c")
    #expect(try root.look(at: "a/b/c")?.kind == .directory)
    try tree.link("away", to: outside.path)
    #expect(throws: TreeError(.createDirectory, path: tree["away"], errno: .tooManySymbolicLinkLevels)) {
      try root.makeDirectory("away")
    }
    #expect(throws: TreeError.self) { try root.makeDirectory("away/x") }
    try tree.write("file")
    #expect(throws: TreeError(.createDirectory, path: tree["file/x"], errno: .notDirectory)) {
      try root.makeDirectory("file/x")
    }
    #expect(try outside.names() == [])
  }
}

extension Result {
  fileprivate var failure: Failure? {
    if case .failure(let error) = self { error } else { nil }
  }
}
