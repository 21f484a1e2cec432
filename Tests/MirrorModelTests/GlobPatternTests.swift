import MirrorModel
import Testing

@Suite struct GlobPatternTests {
  @Test(arguments: [
    ("latest_*", "latest_step100", true),
    ("latest_*", "run/a/latest_step100", true),
    ("latest_*", "run/latest_/x", false),
    ("*.index.json", "run/model.safetensors.index.json", true),
    ("*.index.json", "run/model.json", false),
    ("run/latest", "run/latest", true),
    ("run/latest", "other/run/latest", false),
    ("/latest", "latest", true),
    ("/latest", "run/latest", false),
  ])
  func `a pattern without slash matches the last name, one with a slash the whole path`(
    pattern: String, path: String, expected: Bool
  ) throws {
    #expect(try GlobPattern(pattern).matches(RelativePath(path)) == expected)
  }

  @Test func `a pattern with a trailing slash matches directories only`() throws {
    let pattern = try GlobPattern("cache/")
    #expect(pattern.matches("a/cache", .directory))
    #expect(!pattern.matches("a/cache", .file))
    #expect(!pattern.matches("a/cache", .symbolicLink))
  }

  @Test func `NFC in a pattern does not match NFD in a path`() throws {
    let pattern = try GlobPattern("caf\u{e9}")
    #expect(pattern.matches("caf\u{e9}"))
    #expect(!pattern.matches("cafe\u{301}"))
  }

  @Test func `a question mark is one byte`() throws {
    #expect(try !GlobPattern("caf?").matches("caf\u{e9}"))
    #expect(try GlobPattern("caf??").matches("caf\u{e9}"))
  }

  @Test func `many stars against a long name finish`() throws {
    // A matcher that tries every star again would need more steps than there are atoms.
    let pattern = try GlobPattern("**/" + String(repeating: "*a", count: 60) + "/**/x")
    let name = String(repeating: "a", count: 59) + "b"
    let path = Array(repeating: name, count: 12).joined(separator: "/")
    #expect(!pattern.matches(RelativePath(path)))
  }

  @Test(arguments: [
    ("", PatternError.Fault.empty), ("/", .empty), ("a//b", .emptyName), ("a\0", .containsNUL),
    ("a\\", .danglingEscape), ("[abc", .unclosedClass), ("[]", .unclosedClass),
    ("[[:alpha:]", .unclosedClass), ("[[:letter:]]", .unknownClass("letter")),
  ])
  func `a malformed pattern is refused`(text: String, fault: PatternError.Fault) {
    #expect(throws: PatternError(pattern: text, fault: fault)) { try GlobPattern(text) }
  }

  @Test(arguments: [
    "model.pt", "a*b", "a?b", "[x]", "!keep", "#recycle", "a b", "trailing ", "back\\slash", "*", "caf\u{e9}",
    "cafe\u{301}", "e\u{301}*", "*\u{301}", "\u{1F600}?", "-", "a-z",
  ])
  func `an escaped name matches itself and nothing else`(name: String) throws {
    let pattern = try GlobPattern(GlobPattern.escaped(name))
    #expect(pattern.matches(RelativePath(name)))
    for other in ["ab", "aXb", "x", "[", "model-pt", name + "x", "x" + name, String(name.dropLast())]
    where !other.isEmpty {
      #expect(!pattern.matches(RelativePath(other)), "\(other)")
    }
    // As a filter, where a leading `!` or `#` and trailing spaces would mean something.
    let filter = try PathFilter(exclude: ["/" + GlobPattern.escaped(name)])
    #expect(filter.excludes(RelativePath(name), .file))
  }
}
