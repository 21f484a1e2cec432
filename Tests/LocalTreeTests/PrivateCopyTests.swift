import Foundation
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree

@Suite struct PrivateCopyTests {
  private let tree: TemporaryDirectory
  private let scratch: TemporaryDirectory

  init() throws {
    tree = try TemporaryDirectory()
    scratch = try TemporaryDirectory()
    try tree.write("file", "0123456789")
  }

  private func text(_ file: LocalFile) throws -> String {
    let buffer = PartBuffer(capacity: 100)
    try buffer.fill(from: file, at: 0, byteCount: 100)
    return buffer.withBytes { String(decoding: $0, as: UTF8.self) }
  }

  @Test(.promise("CHG-12"))
  func `a copy keeps the bytes, the path and the stamp, and has no name`() throws {
    let file = try #require(try tree.root().open("file"))
    let copy = try PrivateCopy(of: file, in: scratch.path)
    #expect(try copy.copy(at: 0, byteCount: 4))
    #expect(try copy.copy(at: 4, byteCount: 6))
    try tree.write("file", "changed!!!")
    #expect(try text(copy.file) == "0123456789")
    #expect(copy.file.stamp == file.stamp)
    #expect(copy.file.path == "file")
    #expect(scratch.everything() == [])
    #expect(tree.everything() == ["file"])
  }

  @Test func `a file that is shorter by now is not copied whole`() throws {
    let file = try #require(try tree.root().open("file"))
    let copy = try PrivateCopy(of: file, in: scratch.path)
    try DiskFiles().truncate(tree["file"], to: 3)
    #expect(try !copy.copy(at: 0, byteCount: 10))
  }

  @Test func `a directory that cannot hold it is named`() throws {
    let file = try #require(try tree.root().open("file"))
    let error = #expect(throws: TreeError.self) { try PrivateCopy(of: file, in: scratch["none"]) }
    #expect(error?.operation == .createCopy)
    #expect(error?.path == scratch["none"])
  }

  @Test(.promise("PUB-15"))
  func `a copy that would leave less free than it takes is refused`() throws {
    try #require(truncate(tree["file"], 1 << 43) == 0)
    let file = try #require(try tree.root().open("file"))
    let error = #expect(throws: TreeError.self) { try PrivateCopy(of: file, in: scratch.path) }
    guard case .diskFull(let needed, _) = error?.detail else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(needed == 2 << 43)
  }

  /// btrfs, xfs and bcachefs share blocks; elsewhere there is no clone, and nothing is left of the attempt.
  @Test func `a clone holds the bytes, or there is none`() throws {
    let file = try #require(try tree.root().open("file"))
    if let clone = PrivateCopy(cloning: file) {
      try tree.write("file", "changed!!!")
      #expect(try text(clone.file) == "0123456789")
    }
    #expect(tree.everything() == ["file"])
  }
}
