/// Which paths of a tree belong to a mirror: `exclude` and `include` patterns in the language of
/// gitignore(5).
///
/// As in Git, the last pattern that matches a path decides, and `!` takes an exclusion back. Nothing below an
/// excluded directory can be taken back, because such a directory is never read. If `include` is not empty,
/// only files that match it or lie within a matching directory are kept. `include` never drops a directory,
/// because a file below may match.
///
/// An upload also leaves out temporary names (CLS-1). A program renames such a file when its content is
/// complete.
package struct PathFilter: Sendable, Hashable {
  private let exclude: PatternList
  private let include: PatternList
  private let temporaries: PatternList

  /// - Parameter temporaries: patterns of temporary names. `exclude` cannot take them back.
  package init(exclude: [String], include: [String] = [], temporaries: [String] = [])
    throws(PatternError)
  {
    self.exclude = try PatternList(exclude)
    self.include = try PatternList(include)
    self.temporaries = try PatternList(temporaries)
  }

  private init() {
    exclude = .empty
    include = .empty
    temporaries = .empty
  }

  private init(_ filter: PathFilter, temporaries: PatternList) {
    exclude = filter.exclude
    include = filter.include
    self.temporaries = temporaries
  }

  /// The same filter, but it also leaves out temporary names.
  package func leavingOut(temporaries: [String]) throws(PatternError) -> PathFilter {
    PathFilter(self, temporaries: try PatternList(temporaries))
  }

  /// Keeps everything but the tool's own names.
  package static let everything = PathFilter()

  /// Whether the path, or a directory above it, is left out.
  package func excludes(_ path: RelativePath, _ kind: EntryKind) -> Bool {
    let bytes = path.string.utf8.span
    var end = 0
    while end < bytes.count {
      let start = end
      end = bytes.endOfName(startingAt: start, before: bytes.count)
      if Self.isOwnName(bytes, from: start, to: end) { return true }
      if end < bytes.count { end += 1 }
    }
    return exclude.matchesPathOrParent(bytes, kind) || temporaries.matchesPathOrParent(bytes, kind)
      || isLeftOutByInclude(bytes, kind)
  }

  /// Whether a path is left out only because of a temporary name: its own, or that of a directory above it.
  package func isTemporary(_ path: RelativePath, _ kind: EntryKind) -> Bool {
    if temporaries.isEmpty { return false }
    return temporaries.matchesPathOrParent(path.string.utf8.span, kind)
      && !keepingTemporaries.excludes(path, kind)
  }

  /// The same filter, but it keeps temporary names.
  package var keepingTemporaries: PathFilter { PathFilter(self, temporaries: .empty) }

  /// The same test for a walk that enters only directories that the filter keeps.
  ///
  /// - Parameter start: where the path's last name begins, in bytes.
  package func excludes(_ path: RelativePath, _ kind: EntryKind, nameFrom start: Int) -> Bool {
    let bytes = path.string.utf8.span
    let name = start..<bytes.count
    return Self.isOwnName(bytes, from: start, to: bytes.count)
      || exclude.matches(bytes, upTo: name, kind)
      || temporaries.matches(bytes, upTo: name, kind) || isLeftOutByInclude(bytes, kind)
  }

  private func isLeftOutByInclude(_ path: borrowing Span<UInt8>, _ kind: EntryKind) -> Bool {
    if include.isEmpty || kind == .directory { return false }
    return !include.matchesPathOrParent(path, kind)
  }

  /// A download's temporary file is `.s3mirror-<hash>.part`, beside its target.
  package static let partialPrefix = ".s3mirror-"
  package static let partialSuffix = ".part"
  /// The folder below a remote that holds the tool's own objects.
  package static let ownFolder = ".s3mirror"

  private static func isOwnName(_ path: borrowing Span<UInt8>, from start: Int, to end: Int) -> Bool {
    let prefix = partialPrefix.utf8
    let suffix = partialSuffix.utf8
    // This test ends the function for most names.
    if start == end || path[start] != UInt8(ascii: ".") { return false }
    if end - start == ownFolder.utf8.count {
      for (offset, byte) in ownFolder.utf8.enumerated() where path[start + offset] != byte { return false }
      return true
    }
    if end - start < prefix.count + suffix.count { return false }
    for (offset, byte) in prefix.enumerated() where path[start + offset] != byte { return false }
    for (offset, byte) in suffix.enumerated() where path[end - suffix.count + offset] != byte { return false }
    return true
  }
}

/// Patterns in order. The last match decides.
private struct PatternList: Sendable, Hashable {
  /// In reverse order, so the first match decides.
  private let patterns: PatternIndex
  /// Whether a match of the pattern takes the path in.
  private let verdicts: [Bool]

  static let empty = PatternList(rules: [])

  private init(rules: [(pattern: GlobPattern, verdict: Bool)]) {
    patterns = PatternIndex(rules.map(\.pattern))
    verdicts = rules.map(\.verdict)
  }

  init(_ lines: [String]) throws(PatternError) {
    var rules: [(pattern: GlobPattern, verdict: Bool)] = []
    for line in lines {
      if line.utf8.first == UInt8(ascii: "#") { throw PatternError(pattern: line, fault: .comment) }
      let pattern = Self.withoutTrailingSpaces(line)
      if pattern.utf8.first == UInt8(ascii: "!") {
        rules.append((try GlobPattern(String(Substring(pattern.utf8.dropFirst()))), false))
      } else {
        rules.append((try GlobPattern(pattern), true))
      }
    }
    self.init(rules: rules.reversed())
  }

  var isEmpty: Bool { verdicts.isEmpty }

  /// Whether the path is left out up to the end of a name in it.
  func matches(_ path: borrowing Span<UInt8>, upTo name: Range<Int>, _ kind: EntryKind) -> Bool {
    patterns.firstMatch(path, upTo: name, kind).map { verdicts[$0] } ?? false
  }

  func matchesPathOrParent(_ path: borrowing Span<UInt8>, _ kind: EntryKind) -> Bool {
    if isEmpty { return false }
    var start = 0
    while true {
      let name = start..<path.endOfName(startingAt: start, before: path.count)
      if name.upperBound == path.count { return matches(path, upTo: name, kind) }
      if matches(path, upTo: name, .directory) { return true }
      start = name.upperBound + 1
    }
  }

  /// gitignore(5): trailing spaces are dropped unless a backslash quotes them.
  private static func withoutTrailingSpaces(_ line: String) -> String {
    let bytes = Array(line.utf8)
    var kept = 0
    var at = 0
    while at < bytes.count {
      let isSpace = bytes[at] == UInt8(ascii: " ")
      at += bytes[at] == .backslash && at + 1 < bytes.count ? 2 : 1
      if !isSpace { kept = at }
    }
    return String(decoding: bytes[..<kept], as: UTF8.self)
  }
}
