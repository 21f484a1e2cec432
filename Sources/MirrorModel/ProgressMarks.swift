/// In-progress marks, such as NeMo's `X-unfinished`: while the mark is there, readers take X for incomplete.
///
/// A mark goes before any change of what it speaks for, and its own removal goes after all of them (CLS-2).
package struct ProgressMarks: Sendable {
  package static let none = ProgressMarks()

  private struct Rule: Sendable {
    let pattern: GlobPattern
    /// What stands after the last `*` of the pattern; nil where the pattern has none.
    let suffix: String?
  }

  private let rules: [Rule]

  private init() { rules = [] }

  /// - Parameter patterns: gitignore-style patterns, relative to the root. What `*` stands for in `*-unfinished` is the name of what
  ///   the mark speaks for. A mark of a pattern without `*` speaks for everything in its directory.
  /// - Throws: `PatternError` for a pattern that cannot be read.
  package init(_ patterns: [String]) throws(PatternError) {
    var rules: [Rule] = []
    for text in patterns {
      let suffix = text.lastIndex(of: "*").map { String(text[text.index(after: $0)...]) }
      rules.append(Rule(pattern: try GlobPattern(text), suffix: suffix))
    }
    self.rules = rules
  }

  package var isEmpty: Bool { rules.isEmpty }

  package func contains(_ path: RelativePath) -> Bool { rules.contains { $0.pattern.matches(path) } }

  /// Whether a mark speaks for a path.
  ///
  /// For a mark `d/X-unfinished` these are `d/X`, what lies below it, and names below `d` that add an extension or `-EMA` to X: NeMo
  /// takes `.nemo`, `.ckpt`, `-EMA` and the directories of model-parallel ranks off a checkpoint's name to make that of its mark
  /// (NeMo, `NeMoModelCheckpoint.format_checkpoint_unfinished_marker_path`).
  package func speaks(_ mark: RelativePath, for path: RelativePath) -> Bool {
    let directory = mark.parent
    guard path != mark, path.isWithin(directory), path != directory, !contains(path) else { return false }
    guard let stem = stem(of: mark) else { return true }
    let below = directory.isRoot ? path.string[...] : path.string.dropFirst(directory.string.count + 1)
    return below.split(separator: "/").contains { name in
      name == stem || name.hasPrefix(stem + ".") || name.hasPrefix(stem + "-EMA")
    }
  }

  /// The name that a mark speaks for; nil where it speaks for its whole directory.
  private func stem(of mark: RelativePath) -> String? {
    let name = mark.name
    for rule in rules where rule.pattern.matches(mark) {
      guard let suffix = rule.suffix, name.hasSuffix(suffix), name.count > suffix.count else { return nil }
      return String(name.dropLast(suffix.count))
    }
    return nil
  }
}
