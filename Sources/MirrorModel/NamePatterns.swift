/// Paths that match gitignore-style patterns relative to the root, such as commit markers or files that are
/// only appended to.
package struct NamePatterns: Sendable {
  package static let none = NamePatterns()

  private let patterns: [GlobPattern]
  /// As in `PathFilter`: most names are rejected by comparing a few bytes.
  private let edges: [GlobPattern.Edges]
  /// Most names are rejected by a look at one or two bytes. A pass asks about each name some ten times.
  private let union: GlobPattern.EdgeUnion

  private init() {
    patterns = []
    edges = []
    union = GlobPattern.EdgeUnion([])
  }

  /// - Throws: `GlobPattern`'s error for a pattern that cannot be read.
  package init(_ patterns: [String]) throws {
    self.patterns = try patterns.map { try GlobPattern($0) }
    edges = self.patterns.map(\.edges)
    union = GlobPattern.EdgeUnion(edges)
  }

  package func contains(_ path: RelativePath) -> Bool {
    let bytes = path.string.utf8.span
    guard union.admits(bytes) else { return false }
    for (index, edges) in edges.enumerated() where edges.admit(bytes, upTo: bytes.count, .file) {
      if patterns[index].matches(bytes, upTo: bytes.count, .file) { return true }
    }
    return false
  }
}
