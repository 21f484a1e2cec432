/// One pattern in the language of gitignore(5), matched against the bytes of a path.
///
/// As in gitignore, a pattern with a slash at its start or in its middle is anchored at the root. A pattern
/// without such a slash matches the last name at any depth. `*`, `?` and `[…]` never match a slash; `**` as a
/// whole name matches directories. Matching is case-sensitive and by bytes, as in Git, so `?` is one byte and
/// not one letter.
///
/// Git silently lets a malformed pattern match nothing. This type throws instead, because an exclusion that
/// excludes nothing publishes files that the user meant to keep private.
///
/// The work is bounded by the product of the lengths of pattern and path. Only the last `*` of a name and the
/// last `**` of a path are tried again, so no pattern takes exponential time.
package struct GlobPattern: Sendable, Hashable, CustomStringConvertible {
  /// The pattern as it was written.
  package let text: String
  /// The pattern has a trailing slash and matches only directories.
  package let matchesOnlyDirectories: Bool

  private let place: Place
  private let segments: [Segment]

  package init(_ text: String) throws(PatternError) {
    var bytes = Array(text.utf8)[...]
    if bytes.contains(0) { throw PatternError(pattern: text, fault: .containsNUL) }
    matchesOnlyDirectories = bytes.last == .slash
    if matchesOnlyDirectories { bytes.removeLast() }
    place = bytes.contains(.slash) ? .wholePath : .lastName
    if bytes.first == .slash { bytes.removeFirst() }
    if bytes.isEmpty { throw PatternError(pattern: text, fault: .empty) }
    self.text = text

    var segments: [Segment] = []
    var parser = GlobParser(pattern: text, rest: bytes)
    repeat {
      let tokens = try parser.nextSegment()
      if tokens.isEmpty { throw PatternError(pattern: text, fault: .emptyName) }
      let isDirectories = tokens.count >= 2 && tokens.allSatisfy { $0 == .anyRun }
      segments.append(isDirectories ? .directories : .name(tokens))
    } while !parser.isAtEnd
    self.segments = segments
  }

  /// Whether the path itself matches. The directories above it are not tested.
  package func matches(_ path: RelativePath, _ kind: EntryKind = .file) -> Bool {
    let bytes = path.string.utf8.span
    return matches(bytes, upTo: bytes.count, kind)
  }

  /// Whether the first `end` bytes of a path match. These bytes are the path itself or a directory above it.
  func matches(_ path: borrowing Span<UInt8>, upTo end: Int, _ kind: EntryKind) -> Bool {
    if matchesOnlyDirectories && kind != .directory { return false }
    if end == 0 { return false }
    switch place {
    case .lastName:
      guard case .name(let tokens) = segments[0] else { return true }
      return Self.matches(tokens, path, from: path.startOfName(endingAt: end), to: end)
    case .wholePath:
      return matchesSegments(path, upTo: end)
    }
  }

  package var description: String { text }

  /// The bytes that a name must have at its two ends for a pattern to match, and how many it must have. They are
  /// compared before the whole pattern, because that is cheap.
  struct Edges: Sendable, Hashable {
    fileprivate(set) var least = 0
    /// Set only if the pattern matches the last name of a path. The byte before that name is a slash, or
    /// there is none.
    fileprivate(set) var first: UInt8?
    fileprivate(set) var last: UInt8?
    fileprivate(set) var isOfDirectories: Bool

    /// - Returns: false if the pattern cannot match a path up to the end of a name in it.
    func admit(_ path: borrowing Span<UInt8>, upTo name: Range<Int>, _ kind: EntryKind) -> Bool {
      let end = name.upperBound
      if end == 0 || end < least || (isOfDirectories && kind != .directory) { return false }
      if let last, path[end - 1] != last { return false }
      guard let first else { return true }
      // A directory marker's path ends in a slash, so its last name is empty.
      return !name.isEmpty && path[name.lowerBound] == first
    }
  }

  var edges: Edges {
    var edges = Edges(isOfDirectories: matchesOnlyDirectories)
    guard case .name(let tokens)? = segments.last else { return edges }
    edges.least = tokens.count { $0 != .anyRun }
    if case .byte(let byte)? = tokens.last { edges.last = byte }
    if place == .lastName, case .byte(let byte)? = tokens.first { edges.first = byte }
    return edges
  }

  private enum Place { case lastName, wholePath }

  private enum Segment: Hashable {
    /// `**`: any number of directories. At the end of the pattern: at least one name, at any depth.
    case directories
    case name([GlobToken])
  }

  private func matchesSegments(_ path: borrowing Span<UInt8>, upTo end: Int) -> Bool {
    var segment = 0
    /// Where the next name of the path begins; past `end` if no name is left.
    var start = 0
    /// Where to continue if a name does not match: after the last `**`, one directory further down.
    var retry: (segment: Int, start: Int)?
    while true {
      if segment < segments.count {
        switch segments[segment] {
        case .directories:
          if segment == segments.count - 1 { return start <= end }
          segment += 1
          retry = (segment, start)
          continue
        case .name(let tokens):
          if start <= end {
            let nameEnd = path.endOfName(startingAt: start, before: end)
            if Self.matches(tokens, path, from: start, to: nameEnd) {
              segment += 1
              start = nameEnd + 1
              continue
            }
          }
        }
      } else if start > end {
        return true
      }
      guard let last = retry else { return false }
      let next = path.endOfName(startingAt: last.start, before: end) + 1
      if next > end { return false }
      retry = (last.segment, next)
      (segment, start) = (last.segment, next)
    }
  }

  private static func matches(
    _ tokens: [GlobToken], _ path: borrowing Span<UInt8>, from start: Int, to end: Int
  ) -> Bool {
    var token = 0
    var at = start
    var retry: (token: Int, at: Int)?
    while at < end || token < tokens.count {
      if token < tokens.count {
        if tokens[token] == .anyRun {
          token += 1
          retry = (token, at)
          continue
        }
        if at < end && tokens[token].matches(path[at]) {
          token += 1
          at += 1
          continue
        }
      }
      guard let last = retry, last.at < end else { return false }
      retry = (last.token, last.at + 1)
      (token, at) = (last.token, last.at + 1)
    }
    return true
  }
}

/// Why a pattern is invalid.
package struct PatternError: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Fault: Sendable, Hashable {
    case empty
    case emptyName
    case comment
    case containsNUL
    case danglingEscape
    case unclosedClass
    case unknownClass(String)
  }

  package let pattern: String
  package let fault: Fault

  package init(pattern: String, fault: Fault) {
    self.pattern = pattern
    self.fault = fault
  }

  package var description: String {
    let cause =
      switch fault {
      case .empty: "it is empty and would match nothing; leave it out"
      case .emptyName: "it holds a doubled slash and would match nothing; write single slashes"
      case .comment: "a leading # begins a comment; write \\# for a name that begins with #"
      case .containsNUL: "it holds a NUL, which no file name can"
      case .danglingEscape: "it ends in a backslash that escapes nothing; write \\\\ for a backslash"
      case .unclosedClass: "a [ is never closed; write \\[ for the character"
      case .unknownClass(let name): "[:\(name):] is no character class; [:alpha:], [:digit:] … are"
      }
    return "pattern \"\(pattern)\": \(cause)"
  }
}

extension Span<UInt8> {
  /// Where the last name of the path that ends at `end` begins.
  func startOfName(endingAt end: Int) -> Int {
    var start = end
    while start > 0 && self[start - 1] != .slash { start -= 1 }
    return start
  }

  /// Where the name that begins at `start` ends: at the next slash, or at `limit`.
  func endOfName(startingAt start: Int, before limit: Int) -> Int {
    var end = start
    while end < limit && self[end] != .slash { end += 1 }
    return end
  }
}

extension GlobPattern {
  /// The pattern text that matches exactly this name.
  package static func escaped(_ name: some StringProtocol) -> String {
    // The loop visits scalars, because a combining mark joins the `*` before it into one Character.
    let special: Set<Unicode.Scalar> = ["*", "?", "[", "]", "\\", "!", "#", " "]
    var escaped = String.UnicodeScalarView()
    for scalar in name.unicodeScalars {
      if special.contains(scalar) { escaped.append("\\") }
      escaped.append(scalar)
    }
    return String(escaped)
  }
}
