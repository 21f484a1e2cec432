/// Paths that match gitignore-style patterns relative to the root, such as commit markers or files that are
/// only appended to.
package struct NamePatterns: Sendable {
  package static let none = NamePatterns(PatternIndex([]))

  private let patterns: PatternIndex

  private init(_ patterns: PatternIndex) {
    self.patterns = patterns
  }

  /// - Throws: `GlobPattern`'s error for a pattern that cannot be read.
  package init(_ patterns: [String]) throws {
    self.init(PatternIndex(try patterns.map { try GlobPattern($0) }))
  }

  package func contains(_ path: RelativePath) -> Bool {
    let bytes = path.string.utf8.span
    let name = bytes.startOfName(endingAt: bytes.count)..<bytes.count
    return patterns.firstMatch(bytes, upTo: name, .file) != nil
  }
}
