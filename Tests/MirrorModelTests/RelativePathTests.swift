import MirrorModel
import Testing

@Suite struct RelativePathTests {
  @Test func `NFC and NFD spellings of one name are two paths`() {
    let composed = RelativePath("caf\u{e9}")
    let decomposed = RelativePath("cafe\u{301}")
    #expect(composed.string == decomposed.string)
    #expect(composed != decomposed)
    #expect(Set([composed, decomposed]).count == 2)
  }

  @Test func `order is that of UTF-8 bytes`() {
    #expect(RelativePath("a-b") < RelativePath("a/b"))
    #expect(RelativePath("Z") < RelativePath("a"))
    #expect(RelativePath("\u{ffff}") < RelativePath("\u{10000}"))
  }

  @Test(arguments: [
    ("a/b", "a", true), ("ab", "a", false), ("a", "a", true), ("a", "", true), ("a", "a/b", false),
  ])
  func `a path is within its own directory only`(path: String, directory: String, expected: Bool) {
    #expect(RelativePath(path).isWithin(RelativePath(directory)) == expected)
  }

  @Test func `ancestors run from the parent to the root`() {
    #expect(RelativePath("a/b/c").ancestors == ["a/b", "a", ""])
    #expect(RelativePath.root.ancestors.isEmpty)
  }

  @Test func `a path moves with its directory`() {
    #expect(RelativePath("a/b/c").moved(from: "a", to: "x/y") == "x/y/b/c")
    #expect(RelativePath("a").moved(from: "a", to: "x") == "x")
    #expect(RelativePath("a/b").moved(from: "", to: "x") == "x/a/b")
  }
}
