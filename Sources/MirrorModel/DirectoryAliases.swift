/// The earlier names of directories that were renamed lately.
///
/// A rename of a directory names no file. The watch lists the directory afterwards and tells of the files that are
/// there by then; a file that was deleted or moved on meanwhile is told of under its new name only, and its object
/// under the old name would stay. So what goes from below a renamed directory is looked at under its old name too.
struct DirectoryAliases: Sendable {
  /// New name to old, of renames since the dirty set was last taken.
  private var recent: [RelativePath: RelativePath] = [:]
  /// The same of the interval before: the watch may be as late as one take.
  private var older: [RelativePath: RelativePath] = [:]

  /// Renames kept of one interval. What is forgotten beyond is found by the exit's comparison.
  static let capacity = 1000
  /// A chain of renames longer than this within two intervals is not followed to its end.
  private static let longestChain = 8

  var isEmpty: Bool { recent.isEmpty && older.isEmpty }

  mutating func note(from old: RelativePath, to new: RelativePath) {
    if recent.count < Self.capacity { recent[new] = old }
  }

  /// Forgets the renames of the interval before last.
  mutating func age() {
    older = recent
    recent = [:]
  }

  /// The names that a path had before directories above it, or it, were renamed, latest first.
  func earlierNames(of path: RelativePath) -> [RelativePath] {
    isEmpty ? [] : names(of: path) { recent[$0] ?? older[$0] }
  }

  /// The names that directories below this one had before they were renamed to there.
  func origins(below directory: RelativePath) -> [RelativePath] {
    (recent.merging(older) { newer, _ in newer }).filter { $0.key.isWithin(directory) && $0.key != directory }
      .flatMap { earlierNames(of: $0.key) }
  }

  /// The name that a path had when the set was last taken, if a directory above it was renamed since.
  func nameWhenTaken(of path: RelativePath) -> RelativePath? {
    recent.isEmpty ? nil : names(of: path) { recent[$0] }.last
  }

  private func names(
    of path: RelativePath, origin: (RelativePath) -> RelativePath?
  ) -> [RelativePath] {
    var names: [RelativePath] = []
    var current = path
    while names.count < Self.longestChain {
      let steps = [current] + current.ancestors
      guard let directory = steps.first(where: { origin($0) != nil }), let old = origin(directory) else {
        break
      }
      current = current.moved(from: directory, to: old)
      // Renamed there and back.
      if current == path || names.contains(current) { break }
      names.append(current)
    }
    return names
  }
}
