import Testing

@testable import MirrorModel

@Suite struct NamePatternsTests {
  private static let patterns = [
    "latest", "*.index.json", "checkpoint", "x?", "a/b", "**/c", "events.out.tfevents.*", "[ab]*", "*~",
    "dir/",
  ]

  /// Paths as a lane has them: of files, of directory markers, and of the root.
  private static let paths: [RelativePath] = [
    "", "/", "latest", "a/latest", "latest/", "a/latest/", "model.index.json", "a/b", "a/b/", "c", "a/c", "x",
    "xy",
    "events.out.tfevents.1", "b", "b/", "file~", "dir", "dir/",
  ]

  @Test(arguments: patterns)
  func `a path belongs to the names if the pattern matches it`(pattern: String) throws {
    let (names, glob) = (try NamePatterns([pattern]), try GlobPattern(pattern))
    for path in Self.paths {
      #expect(names.contains(path) == glob.matches(path), "\(path)")
    }
  }

  @Test func `a path belongs to the names if any pattern matches it`() throws {
    let names = try NamePatterns(Self.patterns)
    let globs = try Self.patterns.map { try GlobPattern($0) }
    for path in Self.paths {
      #expect(names.contains(path) == globs.contains { $0.matches(path) }, "\(path)")
    }
  }
}
