import Glibc
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree

/// Links to files inside of the root, which a root of the policy `pointer` resolves.
@Suite struct PointerTests {
  private func root(_ tree: TemporaryDirectory) throws -> TreeRoot {
    try TreeRoot(path: FilePath(tree.path), symlinks: .pointer)
  }

  private struct Link: Sendable {
    var text: String
    /// Nil if the link leads to no file inside of the root.
    var target: RelativePath?
  }

  private static let links: [Link] = [
    Link(text: "file", target: "d/file"), Link(text: "./../d/file", target: "d/file"),
    Link(text: "../other", target: "other"), Link(text: "../e/deep/leaf", target: "e/deep/leaf"),
    Link(text: "../to-e/deep/leaf", target: "e/deep/leaf"), Link(text: "../to-other", target: "other"),
    Link(text: "../to-e/../other", target: "other"), Link(text: "nowhere", target: nil),
    Link(text: "other/below", target: nil), Link(text: "..", target: nil), Link(text: "../e", target: nil),
    Link(text: "../circle", target: nil), Link(text: "link", target: nil), Link(text: "../fifo", target: nil),
    Link(text: "../../outside", target: nil), Link(text: "/etc/passwd", target: nil),
    Link(text: String(repeating: "n", count: 256), target: nil),
  ]

  private func tree() throws -> TemporaryDirectory {
    let tree = try TemporaryDirectory()
    for file in ["d/file", "other", "e/deep/leaf"] { try tree.write(file, file) }
    try tree.link("to-e", to: "e")
    try tree.link("to-other", to: tree["other"])
    try tree.link("circle", to: "circle")
    try tree.fifo("fifo")
    return tree
  }

  @Test(.promise("LINK-7"), arguments: links.indices)
  func `a link counts as the file inside of the root to which it leads`(index: Int) throws {
    let link = Self.links[index]
    let tree = try tree()
    try tree.link("d/link", to: link.text)
    let root = try root(tree)
    let found = try #require(try root.look(at: "d/link"))
    #expect(found.pointer?.target == link.target)
    guard let target = link.target else {
      #expect(found.kind == .symbolicLink)
      #expect(throws: TreeError.self) { try root.open("d/link") }
      return
    }
    #expect(found.kind == .file)
    #expect(found.stamp == (try root.look(at: target))?.stamp)
    #expect(try root.open("d/link")?.stamp == found.stamp)
    let own = try #require(try root.look(at: "d/link", symlinks: .skip))
    #expect(found.pointer?.changed == own.stamp.changed)
  }

  @Test(.promise("LINK-7"))
  func `an absolute link may name the root by a path with links`() throws {
    let tree = try tree()
    try tree.makeDirectory("real")
    try tree.link("named", to: "real")
    try tree.write("real/file", "1")
    try tree.link("real/by-name", to: tree["named/file"])
    try tree.link("real/by-place", to: canonicalPath(FilePath(tree["real/file"])).string)
    try tree.link("real/neighbour", to: tree["named-not/file"])
    let root = try TreeRoot(path: FilePath(tree["named"]), symlinks: .pointer)
    #expect(try root.look(at: "by-name")?.pointer?.target == "file")
    #expect(try root.look(at: "by-place")?.pointer?.target == "file")
    #expect(try root.look(at: "neighbour")?.pointer == nil)
  }

  @Test func `a path below a link to a directory is behind the link`() throws {
    let tree = try tree()
    let error = #expect(throws: TreeError.self) { try self.root(tree).look(at: "to-e/deep/leaf") }
    #expect(error?.linkAbove == "to-e")
  }

  @Test(.promise("LINK-7", "LINK-1"))
  func `a walk finds pointers in the order of their own names, and skips other links`() throws {
    let tree = try tree()
    try tree.link("d/link", to: "file")
    try tree.link("z", to: "nowhere")
    var pointers: [RelativePath: RelativePath] = [:]
    var skipped: [RelativePath] = []
    var order: [RelativePath] = []
    for item in TreeWalk(root: try root(tree), symlinks: .pointer) {
      switch item {
      case .pointer(let path, let stamp, let pointer):
        pointers[path] = pointer.target
        order.append(path)
        #expect(try root(tree).stamp(ofFileAt: pointer.target) == stamp)
      case .file(let path, _): order.append(path)
      case .skipped(let path, _): skipped.append(path)
      default: continue
      }
    }
    #expect(pointers == ["d/link": "d/file", "to-other": "other"])
    #expect(skipped == ["circle", "fifo", "to-e", "z"])
    #expect(order == ["d/file", "d/link", "e/deep/leaf", "other", "to-other"])
  }

  @Test func `a directory with a pointer only is not empty`() throws {
    let tree = try tree()
    try tree.makeDirectory("one")
    try tree.link("one/link", to: "../other")
    try tree.makeDirectory("none")
    try tree.link("none/link", to: "../e")
    let root = try root(tree)
    #expect(try root.isEmptyDirectory("one", filter: .everything) == false)
    #expect(try root.isEmptyDirectory("none", filter: .everything) == true)
  }
}
