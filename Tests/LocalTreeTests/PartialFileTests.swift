import CLinux
import Foundation
import Glibc
import LocalTree
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@Suite struct PartialFileTests {
  let tree: TemporaryDirectory
  let root: TreeRoot

  init() throws {
    tree = try TemporaryDirectory()
    root = try tree.root()
  }

  private func write(_ text: String, to partial: PartialFile, at offset: Int64 = 0) throws {
    try Array(text.utf8).withUnsafeBytes { try partial.write($0, at: offset) }
  }

  @Test(.promise("DOWN-2"))
  func `a published file has its content, mtime and the mode of any new file`() throws {
    let partial = try PartialFile(root: root, target: "a/b/file", byteCount: 6)
    try write("def", to: partial, at: 3)
    try write("abc", to: partial)
    try partial.record(progress: [1, 2, 3])
    #expect(try root.look(at: "a/b/file") == nil)
    let modified: Int64 = 1_700_000_000_123_456_789
    try partial.publish(modified: modified)
    #expect(try tree.text("a/b/file") == "abcdef")
    #expect(try root.look(at: "a/b/file")?.stamp.modified == modified)
    #expect(try FileManager.default.contentsOfDirectory(atPath: tree["a/b"]) == ["file"])
    let plain = try call(open(tree["plain"], O_CREAT | O_WRONLY | O_CLOEXEC, 0o666))
    try call(close(plain))
    #expect(try mode("a/b/file") == mode("plain"))
  }

  private func mode(_ name: String) throws -> mode_t {
    var status = stat()
    try call(stat(tree[name], &status))
    return status.st_mode
  }

  @Test func `times before 1970 are kept`() throws {
    let partial = try PartialFile(root: root, target: "old", byteCount: 0)
    try partial.publish(modified: -1_500_000_000, durability: .cached)
    #expect(try root.look(at: "old")?.stamp.modified == -1_500_000_000)
    #expect(try root.look(at: "old")?.stamp.size == 0)
  }

  @Test func `a published file replaces an older one`() throws {
    try tree.write("file", "older and longer")
    let partial = try PartialFile(root: root, target: "file", byteCount: 3)
    try write("new", to: partial)
    #expect(try tree.text("file") == "older and longer")
    try partial.publish(modified: 0)
    #expect(try tree.text("file") == "new")
  }

  @Test(.promise("DOWN-2"))
  func `the temporary name is short and excluded whatever the target's name is`() throws {
    let target = RelativePath("d/" + String(repeating: "n", count: 255))
    let partial = try PartialFile(root: root, target: target, byteCount: 1)
    let names = try FileManager.default.contentsOfDirectory(atPath: tree["d"])
    #expect(names == [PartialFile.name(for: target)])
    #expect(names.allSatisfy { $0.utf8.count <= 40 })
    #expect(PathFilter.everything.excludes(RelativePath("d").appending(PartialFile.name(for: target)), .file))
    try write("x", to: partial)
    try partial.publish(modified: 0)
    #expect(try root.look(at: target)?.stamp.size == 1)
    // Two spellings of one letter are two names.
    #expect(PartialFile.name(for: "caf\u{e9}") != PartialFile.name(for: "cafe\u{301}"))
  }

  @Test func `a full disk is found before the first byte and leaves nothing behind`() throws {
    let tooMuch: Int64 = 1 << 60
    do {
      _ = try PartialFile(root: root, target: "huge", byteCount: tooMuch)
      Issue.record("a disk of an exbibyte")
    } catch {
      #expect(error.errno == .noSpace)
      #expect(error.path == tree["huge"])
      guard case .diskFull(tooMuch, let free) = error.detail else {
        Issue.record("\(error)")
        return
      }
      #expect(free > 0 && free < tooMuch)
      #expect(error.description.contains("\(tooMuch) bytes are needed, \(free) are free"))
    }
    #expect(try tree.names() == [])
  }

  @Test(arguments: ["/dev/shm", "/var/tmp"])
  func `the space of a file is reserved at its start, in memory too`(parent: String) throws {
    let path = "\(parent)/s3mirror-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let byteCount: Int64 = 1 << 20
    let partial = try PartialFile(
      root: TreeRoot(path: FilePath(path)), target: "file", byteCount: byteCount)
    var status = stat()
    try call(stat(path + "/" + PartialFile.name(for: "file"), &status))
    #expect(Int64(status.st_blocks) * 512 >= byteCount)
    try partial.discard()
    try FileManager.default.removeItem(atPath: path)
  }

  @Test func `a directory, link or FIFO is not replaced`() throws {
    try tree.makeDirectory("directory")
    try tree.write("real", "untouched")
    try tree.link("link", to: "real")
    try tree.fifo("fifo")
    for (name, cause, kind) in [
      ("directory", Errno.isDirectory, EntryKind.directory), ("link", .fileExists, .symbolicLink),
      ("fifo", .fileExists, .special),
    ] {
      let partial = try PartialFile(root: root, target: RelativePath(name), byteCount: 0)
      #expect(throws: TreeError(.publish, path: tree[name], errno: cause, detail: .notRegular(kind))) {
        try partial.publish(modified: 0)
      }
      try partial.discard()
    }
    #expect(try tree.names() == ["directory", "fifo", "link", "real"])
    #expect(try tree.text("real") == "untouched")
  }

  @Test func `an abandoned download is resumed with what it had recorded`() throws {
    do {
      let partial = try PartialFile(root: root, target: "file", byteCount: 6)
      #expect(partial.progress == nil)
      try write("abc", to: partial)
      try partial.record(progress: Array("part 1 of a longer story".utf8))
      try partial.record(progress: Array("part 1".utf8))
    }
    let partial = try PartialFile(root: root, target: "file", byteCount: 6, beginning: .resume)
    #expect(partial.progress == Array("part 1".utf8))
    try write("def", to: partial, at: 3)
    try partial.publish(modified: 0)
    #expect(try tree.text("file") == "abcdef")
  }

  @Test func `a record that was not written whole, or is of another size, begins anew`() throws {
    do {
      let partial = try PartialFile(root: root, target: "file", byteCount: 6)
      try write("abcdef", to: partial)
      try partial.record(progress: Array("whole".utf8))
    }
    let name = tree[PartialFile.name(for: "file")]
    do {
      let partial = try PartialFile(root: root, target: "other", byteCount: 6)
      try partial.discard()
      let cut = try SoleWriter(name)
      try cut.write([0], at: 6 + 24 + 2)
      try cut.close()
    }
    do {
      let partial = try PartialFile(root: root, target: "file", byteCount: 6, beginning: .resume)
      #expect(partial.progress == nil)
      try partial.record(progress: [1])
    }
    let partial = try PartialFile(root: root, target: "file", byteCount: 7, beginning: .resume)
    #expect(partial.progress == nil)
    try write("1234567", to: partial)
    try partial.publish(modified: 0)
    #expect(try tree.text("file") == "1234567")
  }

  @Test func `a second download of the same target is refused while the first runs`() throws {
    do {
      let first = try PartialFile(root: root, target: "file", byteCount: 3)
      #expect(throws: TreeError(.createPartial, path: tree["file"], errno: .wouldBlock, detail: .inUse)) {
        try PartialFile(root: root, target: "file", byteCount: 3)
      }
      try write("abc", to: first)
      try first.publish(modified: 0)
    }
    let second = try PartialFile(root: root, target: "file", byteCount: 3)
    try second.discard()
    #expect(try tree.names() == ["file"])
    #expect(try tree.text("file") == "abc")
  }

  @Test func `a file that lost its temporary name is not published`() throws {
    let partial = try PartialFile(root: root, target: "file", byteCount: 3)
    try tree.remove(PartialFile.name(for: "file"))
    try tree.write(PartialFile.name(for: "file"), "somebody else's")
    #expect(throws: TreeError(.publish, path: tree["file"], errno: .staleNFSFileHandle, detail: .replaced)) {
      try partial.publish(modified: 0)
    }
    try partial.discard()
    #expect(try tree.text(PartialFile.name(for: "file")) == "somebody else's")
  }

  @Test func `what somebody planted under the temporary name is not written to`() throws {
    try tree.write("precious", "precious")
    let name = PartialFile.name(for: "file")
    let plants: [() throws -> Void] = [
      { try tree.link(name, to: "precious") },
      { try call(Glibc.link(tree["precious"], tree[name])) },
      { try tree.fifo(name) },
    ]
    for plant in plants {
      try plant()
      let partial = try PartialFile(root: root, target: "file", byteCount: 3, beginning: .resume)
      try write("abc", to: partial)
      try partial.publish(modified: 0)
      #expect(try tree.text("file") == "abc")
      #expect(try tree.text("precious") == "precious")
      try tree.remove("file")
    }
  }

  @Test func `no directory of the target may be a link`() throws {
    let outside = try TemporaryDirectory()
    try tree.link("away", to: outside.path)
    for target: RelativePath in ["away/file", "away/deeper/file", "../file", ""] {
      #expect(throws: TreeError.self, "\(target)") {
        try PartialFile(root: root, target: target, byteCount: 0)
      }
    }
    #expect(try outside.names() == [])
    #expect(try tree.names() == ["away"])
  }
}
