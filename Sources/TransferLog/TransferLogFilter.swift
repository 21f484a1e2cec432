/// Selects records for `s3mirror log`.
package struct TransferLogFilter: Sendable, Hashable {
  /// Records of this time or later.
  package var since: UTCTime?
  /// Only this outcome, such as `.failed` for `--failed`.
  package var outcome: TransferOutcome?
  /// Records whose path or URL matches.
  package var key: KeyPattern?

  package init(since: UTCTime? = nil, outcome: TransferOutcome? = nil, key: KeyPattern? = nil) {
    self.since = since
    self.outcome = outcome
    self.key = key
  }

  package func accepts(_ record: TransferRecord) -> Bool {
    if let since, record.time < since { return false }
    if let outcome, record.outcome != outcome { return false }
    guard let key else { return true }
    return [record.path, record.url].contains { $0.map(key.matches) ?? false }
  }

  /// Whether a file of this day may hold selected records.
  ///
  /// A record is in the file of the day of its writing, which is a moment after its time. One more day is
  /// read, because after a clock was set back, later records are in the earlier day's file.
  func accepts(fileOf day: UTCDay) -> Bool {
    since.map { day.number >= $0.day.number - 1 } ?? true
  }
}

/// A prefix, or a glob if it has any of `* ? [`. It is compared byte by byte with a whole path or URL.
///
/// `*` also matches `/`, as in `aws s3 --include`; `?` matches one character; `[a-z]` and `[!a-z]` are ASCII
/// sets; a backslash quotes the next byte.
package struct KeyPattern: Sendable, Hashable {
  private enum Token: Sendable, Hashable {
    case byte(UInt8)
    case anyCharacter
    case anyText
    case set([ClosedRange<UInt8>], negated: Bool)
  }

  private var tokens: [Token] = []

  package init(_ pattern: String) {
    let bytes = Array(pattern.utf8)
    var isGlob = false
    var next = 0
    while next < bytes.count {
      let byte = bytes[next]
      next += 1
      switch byte {
      case UInt8(ascii: "*"):
        isGlob = true
        if tokens.last != .anyText { tokens.append(.anyText) }
      case UInt8(ascii: "?"):
        isGlob = true
        tokens.append(.anyCharacter)
      case UInt8(ascii: "["):
        if let set = Self.set(in: bytes, at: &next) {
          isGlob = true
          tokens.append(set)
        } else {
          tokens.append(.byte(byte))
        }
      case UInt8(ascii: "\\") where next < bytes.count:
        tokens.append(.byte(bytes[next]))
        next += 1
      default: tokens.append(.byte(byte))
      }
    }
    if !isGlob { tokens.append(.anyText) }
  }

  /// Parses a set up to its `]`, which may be the first member. If the set is not closed, the result is `nil`
  /// and `next` is unchanged.
  private static func set(in bytes: [UInt8], at next: inout Int) -> Token? {
    var position = next
    let negated = position < bytes.count && [UInt8(ascii: "!"), UInt8(ascii: "^")].contains(bytes[position])
    if negated { position += 1 }
    var ranges: [ClosedRange<UInt8>] = []
    while position < bytes.count {
      let low = bytes[position]
      if low == UInt8(ascii: "]"), !ranges.isEmpty {
        next = position + 1
        return .set(ranges, negated: negated)
      }
      let isRange =
        position + 2 < bytes.count && bytes[position + 1] == UInt8(ascii: "-")
        && bytes[position + 2] != UInt8(ascii: "]")
      let high = isRange ? bytes[position + 2] : low
      // A reversed range is empty, but it prevents a following `]` from becoming the first member.
      ranges.append(low <= high ? low...high : low...low)
      position += isRange ? 3 : 1
    }
    return nil
  }

  /// Linear backtracking: only the last `*` is tried again, which suffices for globs.
  package func matches(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    var position = 0
    var token = 0
    var retry: (token: Int, position: Int)?
    while true {
      if token < tokens.count, tokens[token] == .anyText {
        token += 1
        retry = (token, position)
        continue
      }
      if token == tokens.count, position == bytes.count { return true }
      if token < tokens.count, let length = Self.length(of: tokens[token], in: bytes, at: position) {
        token += 1
        position += length
        continue
      }
      guard let last = retry, last.position < bytes.count else { return false }
      retry = (last.token, last.position + 1)
      token = last.token
      position = last.position + 1
    }
  }

  /// How many bytes a token matches here; `nil` if it does not match.
  private static func length(of token: Token, in bytes: [UInt8], at position: Int) -> Int? {
    guard position < bytes.count else { return nil }
    let byte = bytes[position]
    switch token {
    case .byte(let expected): return byte == expected ? 1 : nil
    case .anyText: return nil
    case .set(let ranges, let negated) where byte < 0x80:
      return ranges.contains { $0.contains(byte) } != negated ? 1 : nil
    case .set(_, let negated): return negated ? characterLength(in: bytes, at: position) : nil
    case .anyCharacter: return characterLength(in: bytes, at: position)
    }
  }

  /// The bytes of a character: its first byte and the continuation bytes, 10xxxxxx (RFC 3629); `nil` inside a
  /// character.
  private static func characterLength(in bytes: [UInt8], at position: Int) -> Int? {
    guard bytes[position] & 0xC0 != 0x80 else { return nil }
    return 1 + bytes[(position + 1)...].prefix { $0 & 0xC0 == 0x80 }.count
  }
}
