/// The earlier names of directories that were renamed lately.
///
/// A rename of a directory names no file. The watch lists the directory afterwards and tells of the files that are
/// there by then; a file that was deleted or moved on meanwhile is told of under its new name only, and its object
/// under the old name would stay. So what goes from below a renamed directory is looked at under its old name too.
struct DirectoryAliases: Sendable {
  /// The name that a directory had before one rename, and when that was, as a number that grows.
  private struct Origin: Sendable {
    var old: RelativePath
    var number: Int
  }

  /// By the new name, the latest last, of renames since the dirty set was last taken. A name may be given more than
  /// once: to one directory, and when that has moved on, to another.
  private var recent: [RelativePath: [Origin]] = [:]
  private var recentCount = 0
  /// The same of the interval before: the watch may be as late as one take.
  private var older: [RelativePath: [Origin]] = [:]
  private var lastNumber = 0

  /// Renames kept of one interval. What is forgotten beyond is found by the exit's comparison.
  static let capacity = 1000
  /// A chain of renames longer than this within two intervals is not followed to its end.
  private static let longestChain = 8

  var isEmpty: Bool { recent.isEmpty && older.isEmpty }

  mutating func note(from old: RelativePath, to new: RelativePath) {
    guard recentCount < Self.capacity else { return }
    recentCount += 1
    lastNumber += 1
    recent[new, default: []].append(Origin(old: old, number: lastNumber))
  }

  /// Forgets the renames of the interval before last.
  mutating func age() {
    older = recent
    recent = [:]
    recentCount = 0
  }

  /// The names that a path had before directories above it, or it, were renamed, latest first.
  func earlierNames(of path: RelativePath) -> [RelativePath] {
    isEmpty ? [] : names(of: path, in: [recent, older])
  }

  /// The names that directories below this one had before they were renamed to there.
  func origins(below directory: RelativePath) -> [RelativePath] {
    Set(recent.keys).union(older.keys).filter { $0.isWithin(directory) && $0 != directory }
      .flatMap { earlierNames(of: $0) }
  }

  /// The name that a path had when the set was last taken, if a directory above it was renamed since.
  func nameWhenTaken(of path: RelativePath) -> RelativePath? {
    recent.isEmpty ? nil : names(of: path, in: [recent]).last
  }

  /// Follows the renames back in time: each step takes the latest one before the step that led to it.
  private func names(of path: RelativePath, in tables: [[RelativePath: [Origin]]]) -> [RelativePath] {
    var names: [RelativePath] = []
    var current = path
    var limit = Int.max
    for _ in 0..<Self.longestChain {
      guard let (directory, origin) = latestOrigin(of: current, before: limit, in: tables) else { break }
      current = current.moved(from: directory, to: origin.old)
      limit = origin.number
      names.append(current)
    }
    return names
  }

  private func latestOrigin(
    of path: RelativePath, before limit: Int, in tables: [[RelativePath: [Origin]]]
  ) -> (RelativePath, Origin)? {
    var latest: (RelativePath, Origin)?
    for directory in [path] + path.ancestors {
      for table in tables {
        guard let origin = table[directory]?.last(where: { $0.number < limit }) else { continue }
        if latest.map({ $0.1.number < origin.number }) ?? true { latest = (directory, origin) }
      }
    }
    return latest
  }
}
