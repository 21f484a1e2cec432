import MirrorModel
import Testing

@Suite struct PathFilterTests {
  /// The meaning of exclusions by example; `GitIgnoreAgreementTests` asks Git about the same rows.
  static let examples: [FilterExample] = [
    // Without a slash: any depth, the last name.
    .init(["*.tmp"], "a.tmp", excluded: true),
    .init(["*.tmp"], "x/y/a.tmp", excluded: true),
    .init(["*.tmp"], "a.tmp/b", excluded: true),
    .init(["*.tmp"], "A.TMP", excluded: false),
    .init(["*"], ".hidden", excluded: true),
    .init(["?"], "ab", excluded: false),
    // A slash at the start or middle anchors at the root.
    .init(["/a"], "a", excluded: true),
    .init(["/a"], "x/a", excluded: false),
    .init(["a/b"], "a/b", excluded: true),
    .init(["a/b"], "x/a/b", excluded: false),
    .init(["a/*"], "a/b/c", excluded: true),
    .init(["a/*.o"], "a/b/c.o", excluded: false),
    .init(["a?b"], "a/b", excluded: false),
    // A slash at the end: directories, and so all below them.
    .init(["a/"], "a", excluded: false),
    .init(["a/"], "a", .directory, excluded: true),
    .init(["a/"], "x/a/b", excluded: true),
    .init(["/a/"], "x/a/b", excluded: false),
    // Two stars.
    .init(["**/a"], "a", excluded: true),
    .init(["**/a"], "x/y/a", excluded: true),
    .init(["a/**"], "a", .directory, excluded: false),
    .init(["a/**"], "a/b/c", excluded: true),
    .init(["a/**/b"], "a/b", excluded: true),
    .init(["a/**/b"], "a/x/y/b", excluded: true),
    .init(["a/**/b"], "a/xb", excluded: false),
    .init(["a**b/c"], "axxb/c", excluded: true),
    .init(["a**b/c"], "ax/xb/c", excluded: false),
    .init(["**"], "a/b", excluded: true),
    .init(["/**"], "a", excluded: true),
    .init(["**/"], "a", excluded: false),
    .init(["**/"], "a", .directory, excluded: true),
    // The last match decides; a parent's exclusion is final.
    .init(["*.pt", "!best.pt"], "best.pt", excluded: false),
    .init(["!best.pt", "*.pt"], "best.pt", excluded: true),
    .init(["logs/", "!logs/keep"], "logs/keep", excluded: true),
    .init(["logs/*", "!logs/keep"], "logs/keep", excluded: false),
    .init(["/*", "!/a"], "a/b", excluded: false),
    .init(["!a", "!!b"], "!b", excluded: false),
    // Classes.
    .init(["[a-c]x"], "bx", excluded: true),
    .init(["[!a-c]x"], "bx", excluded: false),
    .init(["[^a-c]x"], "dx", excluded: true),
    .init(["[]a]x"], "]x", excluded: true),
    .init(["[a-]x"], "-x", excluded: true),
    .init(["[\\]]x"], "]x", excluded: true),
    .init(["[[:digit:]]*"], "7b", excluded: true),
    .init(["[[:digit:]]*"], "b7", excluded: false),
    .init(["[[:x]]"], "[]", excluded: true),
    .init(["a[/]b"], "a/b", excluded: false),
    .init(["a[!x]b"], "a/b", excluded: false),
    .init(["[c-a]"], "b", excluded: false),
    // Escapes and spaces.
    .init(["\\*"], "x", excluded: false),
    .init(["\\*"], "*", excluded: true),
    .init(["\\!a"], "!a", excluded: true),
    .init(["\\#a"], "#a", excluded: true),
    .init(["a\\?"], "ab", excluded: false),
    .init(["a "], "a", excluded: true),
    .init(["a\\ "], "a ", excluded: true),
    .init(["a\\ "], "a", excluded: false),
    .init(["a b"], "a b", excluded: true),
    .init(["\u{e9}"], "e\u{301}", excluded: false),
  ]

  @Test(arguments: examples) func `exclusions follow gitignore`(example: FilterExample) throws {
    let filter = try PathFilter(exclude: example.patterns)
    #expect(filter.excludes(RelativePath(example.path), example.kind) == example.isExcluded)
  }

  @Test func `a walk that asks at each level gets the same answer`() throws {
    for example in Self.examples {
      let filter = try PathFilter(exclude: example.patterns)
      let path = RelativePath(example.path)
      var answer = false
      for step in path.ancestors.reversed().dropFirst() where !answer {
        answer = filter.excludes(step, .directory, belowKept: step.parent)
      }
      if !answer { answer = filter.excludes(path, example.kind, belowKept: path.parent) }
      #expect(answer == example.isExcluded, "\(example)")
    }
  }

  @Test func `include keeps matching files and files within matching directories`() throws {
    let filter = try PathFilter(exclude: ["*.tmp"], include: ["*.pt", "keep/"])
    #expect(!filter.excludes("x/model.pt", .file))
    #expect(!filter.excludes("x/keep/notes", .file))
    #expect(filter.excludes("keep", .file))
    #expect(filter.excludes("x/notes", .file))
    #expect(filter.excludes("x/link", .symbolicLink))
    #expect(filter.excludes("keep/a.tmp", .file))
    #expect(!filter.excludes("x", .directory))
    #expect(!filter.excludes("x/keep/notes", .file, belowKept: "x/keep"))
    #expect(filter.excludes("x/notes", .file, belowKept: "x"))
  }

  @Test func `the tool's own temporary files are always excluded`() throws {
    let filter = try PathFilter(exclude: ["!.s3mirror-*"], include: ["*"])
    #expect(filter.excludes(".s3mirror-0123.part", .file))
    #expect(filter.excludes("a/b/.s3mirror-0123.part", .file))
    #expect(filter.excludes("a/b/.s3mirror-0123.part", .file, belowKept: "a/b"))
    #expect(filter.excludes("a/.s3mirror-x.part/b", .file))
    #expect(!filter.excludes("a/.s3mirror-0123.parts", .file))
    #expect(!filter.excludes("a/x.s3mirror-0123.part", .file))
    #expect(!filter.excludes(".s3mirror-part", .file))
    #expect(PathFilter.everything.excludes(".s3mirror-.part", .file))
    #expect(!PathFilter.everything.excludes("a", .file))
  }

  @Test func `a comment is refused instead of excluding nothing`() {
    #expect(throws: PatternError(pattern: "#recycle", fault: .comment)) {
      try PathFilter(exclude: ["#recycle"])
    }
    #expect(throws: PatternError(pattern: "", fault: .empty)) { try PathFilter(exclude: ["!"]) }
  }
}

struct FilterExample: Sendable, CustomTestStringConvertible {
  let patterns: [String]
  let path: String
  let kind: EntryKind
  let isExcluded: Bool

  init(_ patterns: [String], _ path: String, _ kind: EntryKind = .file, excluded: Bool) {
    self.patterns = patterns
    self.path = path
    self.kind = kind
    self.isExcluded = excluded
  }

  var testDescription: String { "\(patterns) \(path) \(kind)" }
}

extension PathFilter {
  /// What a walk asks that has entered the directory.
  fileprivate func excludes(_ path: RelativePath, _ kind: EntryKind, belowKept parent: RelativePath) -> Bool {
    excludes(path, kind, nameFrom: parent.isRoot ? 0 : parent.string.utf8.count + 1)
  }
}
