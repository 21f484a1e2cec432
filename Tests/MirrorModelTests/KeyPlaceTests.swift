import MirrorModel
import TestSupport
import Testing

@Suite struct KeyPlaceTests {
  @Test(arguments: [
    "a", "a/b", "a b/c+d%e&f#g", "...", "a/.../b", ".hidden", "..a", "a..", "caf\u{e9}", "cafe\u{301}",
    "a\nb", "\u{1F600}",
  ])
  func `a harmless key keeps its bytes`(key: String) throws {
    let place = try KeyPlace(key: key)
    #expect(Array(place.path.string.utf8) == Array(key.utf8))
    #expect(!place.isDirectoryMarker)
  }

  @Test func `a key that ends in a slash stands for a directory`() throws {
    let place = try KeyPlace(key: "a/b/")
    #expect(place.path == "a/b")
    #expect(place.isDirectoryMarker)
    // U+0600 joins the slash into one Character; only bytes may be cut.
    #expect(try KeyPlace(key: "a\u{600}/").path == "a\u{600}")
  }

  @Test(
    .promise("DOWN-3"),
    arguments: [
      ("", UnsafeKey.Reason.empty), ("/", .empty), ("/a", .emptyName), ("a//b", .emptyName),
      ("a//", .emptyName),
      (".", .dotName), ("..", .dotName), ("../x", .dotName), ("a/../b", .dotName), ("a/./b", .dotName),
      ("a/..", .dotName), ("../", .dotName), ("a\0b", .containsNUL),
    ])
  func `a key that could leave the root or no entry can carry is refused`(
    key: String, reason: UnsafeKey.Reason
  ) {
    #expect(throws: UnsafeKey(key: key, reason: reason)) { try KeyPlace(key: key) }
  }

  @Test func `a name has at most 255 bytes and a path 4,095`() throws {
    let longest = String(repeating: "\u{e9}", count: 127) + "x"
    #expect(longest.utf8.count == 255)
    #expect(try KeyPlace(key: "a/" + longest).path.name == longest)
    #expect(throws: UnsafeKey(key: longest + "x", reason: .nameTooLong(bytes: 256))) {
      try KeyPlace(key: longest + "x")
    }
    let deep = Array(repeating: String(repeating: "d", count: 255), count: 16).joined(separator: "/")
    #expect(deep.utf8.count == 4095)
    #expect(try KeyPlace(key: deep).path.string.utf8.count == 4095)
    #expect(throws: UnsafeKey(key: "a" + deep.dropFirst() + "/b", reason: .pathTooLong(bytes: 4097))) {
      try KeyPlace(key: "a" + deep.dropFirst() + "/b")
    }
  }
}
