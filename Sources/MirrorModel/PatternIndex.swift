/// Patterns in order, with what rejects most names by a look at one or two bytes, however many patterns there are. A pass
/// asks about each name some ten times.
///
/// A class, because whoever asks would copy the sets otherwise.
final class PatternIndex: Sendable, Hashable {
  private let patterns: [GlobPattern]
  private let edges: [GlobPattern.Edges]
  private let ofDirectories: EdgeUnion
  private let ofOthers: EdgeUnion

  init(_ patterns: [GlobPattern]) {
    self.patterns = patterns
    edges = patterns.map(\.edges)
    ofDirectories = EdgeUnion(edges, .directory)
    ofOthers = EdgeUnion(edges, .file)
  }

  /// The index of the first pattern that matches a path up to the end of a name in it.
  func firstMatch(_ path: borrowing Span<UInt8>, upTo name: Range<Int>, _ kind: EntryKind) -> Int? {
    if name.upperBound == 0 || patterns.isEmpty { return nil }
    return kind == .directory
      ? firstMatch(path, upTo: name, kind, ofDirectories) : firstMatch(path, upTo: name, kind, ofOthers)
  }

  private func firstMatch(
    _ path: borrowing Span<UInt8>, upTo name: Range<Int>, _ kind: EntryKind, _ union: borrowing EdgeUnion
  ) -> Int? {
    if union.last.contains(path[name.upperBound - 1]) || union.admitsFirst(path, of: name) {
      for index in patterns.indices where matches(index, path, upTo: name, kind) { return index }
    } else {
      for index in union.edgeless where matches(index, path, upTo: name, kind) { return index }
    }
    return nil
  }

  static func == (left: PatternIndex, right: PatternIndex) -> Bool { left.patterns == right.patterns }

  func hash(into hasher: inout Hasher) { hasher.combine(patterns) }

  private func matches(
    _ index: Int, _ path: borrowing Span<UInt8>, upTo name: Range<Int>, _ kind: EntryKind
  ) -> Bool {
    edges[index].admit(path, upTo: name, kind) && patterns[index].matches(path, upTo: name.upperBound, kind)
  }
}

/// The edges of all patterns that may match entries of one kind.
private struct EdgeUnion: Sendable {
  /// The last bytes of patterns that end in a certain byte.
  private(set) var last = ByteSet()
  /// The first bytes of the others.
  private var first = ByteSet()
  /// The patterns that have neither.
  private(set) var edgeless: [Int] = []

  init(_ edges: [GlobPattern.Edges], _ kind: EntryKind) {
    for (index, edges) in edges.enumerated() where kind == .directory || !edges.isOfDirectories {
      if let byte = edges.last {
        last.insert(byte)
      } else if let byte = edges.first {
        first.insert(byte)
      } else {
        edgeless.append(index)
      }
    }
  }

  func admitsFirst(_ path: borrowing Span<UInt8>, of name: Range<Int>) -> Bool {
    // A directory marker's path ends in a slash, so its last name is empty.
    !name.isEmpty && first.contains(path[name.lowerBound])
  }
}
