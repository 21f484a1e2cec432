/// Paths that match gitignore-style patterns relative to the root, such as commit markers or files that are
/// only appended to.
package struct NamePatterns: Sendable {
  package static let none = NamePatterns()

  private let patterns: [GlobPattern]

  private init() {
    patterns = []
  }

  /// - Throws: `GlobPattern`'s error for a pattern that cannot be read.
  package init(_ patterns: [String]) throws {
    self.patterns = try patterns.map { try GlobPattern($0) }
  }

  package func contains(_ path: RelativePath) -> Bool { patterns.contains { $0.matches(path) } }
}
