import Foundation
import Glibc
import LocalTree
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@Suite struct TreeWalkTests {
  /// A walk as text: `path`, `path/` for directories, `?path kind` skipped, `!path errno` unreadable.
  private func lines(_ walk: TreeWalk) -> [String] {
    walk.map { item in
      switch item {
      case .file(let path, _), .pointer(let path, _, _), .link(let path, _, _): path.string
      case .directory(let path), .emptyDirectory(let path): path.string + "/"
      case .skipped(let path, let kind): "?\(path) \(kind)"
      case .unreadable(let path, let error): "!\(path) \(error.errno.rawValue)"
      case .notUTF8(let directory, let name): "#\(directory) \(name)"
      }
    }
  }

  @Test func `entries come in the byte order of their keys`() throws {
    let tree = try TemporaryDirectory()
    let files = [
      "a/b", "a-b", "a.txt", "a0", "a/b-c/d", "a/b.c", "B", "ab/c", "\u{e9}", "e\u{301}", "\u{ffff}",
      "\u{10000}",
      "a/b0/x/y/z", "a/b0/x-y", "a b",
    ]
    for file in files { try tree.write(file, file) }
    let root = try tree.root()
    let walked = lines(TreeWalk(root: root))
    let keys = walked.filter { !$0.hasSuffix("/") }.map { RelativePath($0) }
    #expect(keys == files.map { RelativePath($0) }.sorted())
    // Directories as well, each right before its first key.
    #expect(walked.map { RelativePath($0) } == walked.map { RelativePath($0) }.sorted())
    #expect(walked.prefix(4) == ["B", "a b", "a-b", "a.txt"])
    for case .file(let path, let stamp) in TreeWalk(root: root) {
      #expect(try root.look(at: path)?.stamp == stamp)
    }
  }

  @Test func `a large directory is listed whole`() throws {
    let tree = try TemporaryDirectory()
    // 700 records of over 200 bytes: more than two of the buffers that getdents64 fills.
    let names = (0..<700).map { String(repeating: "n", count: 200) + String($0) }
    for name in names { try call(close(call(open(tree[name], O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)))) }
    #expect(lines(TreeWalk(root: try tree.root())) == names.sorted())
  }

  @Test func `what the filter excludes is neither told nor entered`() throws {
    let tree = try TemporaryDirectory()
    for file in ["keep/a", "keep/a.tmp", "cache/b", "x/cache/c", ".s3mirror-0.part"] { try tree.write(file) }
    try tree.link("l.tmp", to: "x")
    let root = try tree.root()
    let filter = try PathFilter(exclude: ["*.tmp", "cache/"])
    #expect(lines(TreeWalk(root: root, filter: filter)) == ["keep/", "keep/a", "x/"])
    #expect(lines(TreeWalk(root: root, start: "cache", filter: filter)) == [])
  }

  @Test func `a walk may start below the root`() throws {
    let tree = try TemporaryDirectory()
    for file in ["d/e/f", "d/g", "h"] { try tree.write(file) }
    let root = try tree.root()
    #expect(lines(TreeWalk(root: root, start: "d")) == ["d/e/", "d/e/f", "d/g"])
    #expect(lines(TreeWalk(root: root, start: "none")) == [])
    #expect(lines(TreeWalk(root: root, start: "h")) == [])
  }

  @Test func `links and special files are skipped and told`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/file")
    try tree.link("file-link", to: "d/file")
    try tree.link("directory-link", to: "d")
    try tree.fifo("fifo")
    #expect(
      lines(TreeWalk(root: try tree.root()))
        == ["d/", "d/file", "?directory-link symbolicLink", "?fifo special", "?file-link symbolicLink"])
  }

  @Test func `followed links are walked in the order of their own names, loops and dead ends skipped`() throws
  {
    let outside = try TemporaryDirectory()
    try outside.write("o/file", "12")
    let tree = try TemporaryDirectory()
    try tree.write("d/file", "1")
    try tree.link("d/up", to: "..")
    try tree.link("b", to: outside["o"])
    try tree.link("b-file", to: "d/file")
    try tree.link("dangling", to: "nowhere")
    try tree.link("circle", to: "circle")
    let root = try tree.root()
    #expect(
      lines(TreeWalk(root: root, symlinks: .follow)) == [
        "b-file", "b/", "b/file", "?circle symbolicLink", "d/", "d/file", "?d/up symbolicLink",
        "?dangling symbolicLink",
      ])
    for case .file(let path, let stamp) in TreeWalk(root: root, symlinks: .follow) {
      #expect(try root.open(path, symlinks: .follow)?.stamp == stamp)
    }
  }

  @Test(arguments: ["circle", "circle/x", "d/round"] as [RelativePath])
  func `there is nothing at or behind a followed link that leads in a circle`(path: RelativePath) throws {
    let tree = try TemporaryDirectory()
    try tree.link("circle", to: "circle")
    try tree.write("d/file", "1")
    try tree.link("d/round", to: "../d/round")
    let root = try TreeRoot(path: FilePath(tree.path), symlinks: .follow)
    #expect(lines(TreeWalk(root: root, start: path, symlinks: .follow)).isEmpty)
    #expect(try root.open(path) == nil)
  }

  /// The kernel follows 40 links in one path.
  @Test func `a walk begins behind more links than the kernel follows at once`() throws {
    let outside = try TemporaryDirectory()
    for number in 0..<45 {
      try outside.write("\(number)/file", "1")
      if number < 44 { try outside.link("\(number)/next", to: outside["\(number + 1)"]) }
    }
    let tree = try TemporaryDirectory()
    try tree.link("0", to: outside["0"])
    let root = try TreeRoot(path: FilePath(tree.path), symlinks: .follow)
    let start = RelativePath("0" + String(repeating: "/next", count: 43))
    #expect(
      lines(TreeWalk(root: root, start: start, symlinks: .follow))
        == ["/file", "/next/", "/next/file"].map { start.string + $0 })
  }

  @Test func `a name that is not UTF-8 is told and the rest goes on`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/z")
    let raw: [CChar] = Array(tree["d/"].utf8CString.dropLast()) + [0x62, CChar(bitPattern: 0xFF), 0]
    try call(mkdir(raw, 0o700))
    #expect(lines(TreeWalk(root: try tree.root())) == ["d/", "#d [98, 255]", "d/z"])
  }

  @Test func `what vanishes while the walk runs is absent`() throws {
    let tree = try TemporaryDirectory()
    for file in ["a", "b", "c/file", "d/file"] { try tree.write(file) }
    var walk = TreeWalk(root: try tree.root())
    guard case .file("a", _) = walk.next() else {
      Issue.record("the walk begins with a")
      return
    }
    try tree.remove("b")
    #expect(walk.next() == .directory("c"))
    try tree.remove("c")
    #expect(walk.next() == .directory("d"))
    try tree.remove("d")
    try tree.link("d", to: ".")
    #expect(walk.next() == nil)
    #expect(walk.next() == nil)
  }

  @Test func `a file that became a directory or link is not told as a file`() throws {
    let tree = try TemporaryDirectory()
    for file in ["a", "b", "c", "d"] { try tree.write(file) }
    var walk = TreeWalk(root: try tree.root())
    _ = walk.next()
    try tree.remove("b")
    try tree.makeDirectory("b")
    try tree.remove("c")
    try tree.link("c", to: "a")
    #expect(lines(walk) == ["?c symbolicLink", "d"])
  }

  @Test func `a copy of a walk goes on by itself`() throws {
    let tree = try TemporaryDirectory()
    for file in ["a", "d/b", "e"] { try tree.write(file) }
    var walk = TreeWalk(root: try tree.root())
    _ = walk.next()
    let copy = walk
    #expect(lines(walk) == ["d/", "d/b", "e"])
    #expect(lines(copy) == ["d/", "d/b", "e"])
  }

  @Test func `an entry that cannot be seen is told and the walk goes on`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("z")
    try tree.link("d", to: "z")
    // stat(2) of a link to an impossible name fails with ENAMETOOLONG, for root too.
    try tree.link("long", to: String(repeating: "n", count: 256))
    let root = try tree.root()
    #expect(lines(TreeWalk(root: root, symlinks: .follow)) == ["d", "!long \(ENAMETOOLONG)", "z"])
  }

  @Test func `a start that is a link, or lies behind one, is skipped as a link`() throws {
    let tree = try TemporaryDirectory()
    try tree.write("d/e/file")
    try tree.link("away", to: "d")
    let root = try tree.root()
    #expect(Array(TreeWalk(root: root, start: "away")) == [.skipped("away", .symbolicLink)])
    #expect(Array(TreeWalk(root: root, start: "away/e")) == [.skipped("away/e", .symbolicLink)])
    #expect(lines(TreeWalk(root: root, start: "away", symlinks: .follow)) == ["away/e/", "away/e/file"])
  }

  @Test(.enabled(if: geteuid() != 0, "root may read everything"))
  func `a directory that cannot be read is told and the walk goes on`() throws {
    let tree = try TemporaryDirectory()
    for file in ["a/x", "b/x", "c"] { try tree.write(file) }
    try call(chmod(tree["b"], 0))
    defer { chmod(tree["b"], 0o700) }
    let root = try tree.root()
    #expect(lines(TreeWalk(root: root)) == ["a/", "a/x", "b/", "!b \(EACCES)", "c"])
    #expect(throws: TreeError(.look, path: tree["b/x"], errno: .permissionDenied)) {
      try root.look(at: "b/x")
    }
  }
}
