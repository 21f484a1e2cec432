/// In-progress marks, such as NeMo's `X-unfinished`. While the mark exists, readers treat X as incomplete.
///
/// A mark is published before any change of the paths that it names, and deleted after all of these changes
/// (CLS-2).
package struct ProgressMarks: Sendable {
  package static let none = ProgressMarks()

  private struct Rule: Sendable {
    let pattern: GlobPattern
    /// The text after the last `*` of the pattern; nil if the pattern has no `*`.
    let suffix: String?
  }

  private let rules: [Rule]

  private init() { rules = [] }

  /// - Parameter patterns: gitignore-style patterns relative to the root. In `*-unfinished` the text that `*`
  ///   matches is the name of the checkpoint that the mark names. A mark of a pattern without `*` names
  ///   everything in its directory.
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

  /// Whether a mark names a path.
  ///
  /// A mark `d/X-unfinished` names `d/X`, everything below `d/X`, and names below `d` that add an extension
  /// or `-EMA` to X. NeMo forms the name of a mark by removing `.nemo`, `.ckpt`, `-EMA` and the directories
  /// of model-parallel ranks from a checkpoint's name
  /// (`NeMoModelCheckpoint.format_checkpoint_unfinished_marker_path`).
  package func speaks(_ mark: RelativePath, for path: RelativePath) -> Bool {
    let directory = mark.parent
    guard path != mark, path.isWithin(directory), path != directory, !contains(path) else { return false }
    guard let stem = stem(of: mark) else { return true }
    let below = directory.isRoot ? path.string[...] : path.string.dropFirst(directory.string.count + 1)
    return below.split(separator: "/").contains { name in
      name == stem || name.hasPrefix(stem + ".") || name.hasPrefix(stem + "-EMA")
    }
  }

  /// The name in a mark; nil if the mark names its whole directory.
  private func stem(of mark: RelativePath) -> String? {
    let name = mark.name
    for rule in rules where rule.pattern.matches(mark) {
      guard let suffix = rule.suffix, name.hasSuffix(suffix), name.count > suffix.count else { return nil }
      return String(name.dropLast(suffix.count))
    }
    return nil
  }
}
