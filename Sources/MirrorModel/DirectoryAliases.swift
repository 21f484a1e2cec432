/// The earlier names of directories that were renamed lately.
///
/// A rename of a directory reports no file names. The watch then lists the directory and reports the files
/// that it still finds there. If a file was deleted or renamed in the meantime, the watch reports only its
/// new name, and the object under the old name would stay. So a path that leaves a renamed directory is
/// rechecked under its earlier names too.
struct DirectoryAliases: Sendable {
  /// A directory's name before one rename, and the rename's number; later renames have higher numbers.
  private struct Origin: Sendable {
    var old: RelativePath
    var number: Int
  }

  /// Origins by new name, oldest first, of the renames since the dirty set was last taken. One name may have
  /// several origins: first one directory had the name, and after that directory was renamed again, another.
  private var recent: [RelativePath: [Origin]] = [:]
  private var recentCount = 0
  /// The same for the interval before. The watch may report a change one `take` late.
  private var older: [RelativePath: [Origin]] = [:]
  private var lastNumber = 0

  /// Renames that are kept of one interval. Further renames are left to the comparison at exit.
  static let capacity = 1000
  /// The longest chain of renames within two intervals that is followed.
  private static let longestChain = 8

  var isEmpty: Bool { recent.isEmpty && older.isEmpty }

  mutating func note(from old: RelativePath, to new: RelativePath) {
    guard recentCount < Self.capacity else { return }
    recentCount += 1
    lastNumber += 1
    recent[new, default: []].append(Origin(old: old, number: lastNumber))
  }

  /// Forgets the renames of the older interval.
  mutating func age() {
    older = recent
    recent = [:]
    recentCount = 0
  }

  /// A path's earlier names, from renames of the path or of directories above it, latest first.
  func earlierNames(of path: RelativePath) -> [RelativePath] {
    isEmpty ? [] : names(of: path, in: [recent, older])
  }

  /// The earlier names of the directories below this one.
  func origins(below directory: RelativePath) -> [RelativePath] {
    Set(recent.keys).union(older.keys).filter { $0.isWithin(directory) && $0 != directory }
      .flatMap { earlierNames(of: $0) }
  }

  /// The name that a path had when the set was last taken, if a directory above it was renamed since.
  func nameWhenTaken(of path: RelativePath) -> RelativePath? {
    recent.isEmpty ? nil : names(of: path, in: [recent]).last
  }

  /// Follows the renames back in time. Each step takes the latest rename that is older than the one before.
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
