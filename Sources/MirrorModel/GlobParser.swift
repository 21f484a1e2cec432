/// What one element of a glob matches within a name.
enum GlobToken: Hashable, Sendable {
  case byte(UInt8)
  /// `?`
  case anyByte
  /// `*`
  case anyRun
  /// `[…]`
  case oneOf(ByteSet)

  func matches(_ byte: UInt8) -> Bool {
    switch self {
    case .byte(let wanted): byte == wanted
    case .anyByte, .anyRun: true
    case .oneOf(let set): set.contains(byte)
    }
  }
}

/// A set of byte values.
struct ByteSet: Hashable, Sendable {
  private var words = SIMD4<UInt64>(repeating: 0)

  func contains(_ byte: UInt8) -> Bool { words[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }
  mutating func insert(_ byte: UInt8) { words[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }
  mutating func remove(_ byte: UInt8) { words[Int(byte >> 6)] &= ~(1 << UInt64(byte & 63)) }
  mutating func complement() { words = ~words }
}

/// Splits a gitignore pattern into names, and each name into tokens, as Git's wildmatch does.
///
/// A slash inside `[…]` belongs to the class, so the split into names needs the tokens.
struct GlobParser {
  let pattern: String
  var rest: ArraySlice<UInt8>
  private(set) var isAtEnd = false

  init(pattern: String, rest: ArraySlice<UInt8>) {
    self.pattern = pattern
    self.rest = rest
  }

  /// The tokens up to the next slash or the end.
  mutating func nextSegment() throws(PatternError) -> [GlobToken] {
    var tokens: [GlobToken] = []
    while let byte = rest.popFirst() {
      switch byte {
      case .slash: return tokens
      case UInt8(ascii: "?"): tokens.append(.anyByte)
      case UInt8(ascii: "*"): tokens.append(.anyRun)
      case UInt8(ascii: "["): tokens.append(.oneOf(try byteClass()))
      case .backslash:
        let escaped = try next(orElse: .danglingEscape)
        if escaped == .slash { return tokens }
        tokens.append(.byte(escaped))
      default: tokens.append(.byte(byte))
      }
    }
    isAtEnd = true
    return tokens
  }

  /// Reads a class after its `[`. A `]` right after the opening (or its `!` or `^`) is a member.
  private mutating func byteClass() throws(PatternError) -> ByteSet {
    var set = ByteSet()
    let isNegated = rest.first == UInt8(ascii: "!") || rest.first == UInt8(ascii: "^")
    if isNegated { rest.removeFirst() }
    /// The last member. A following `-` makes it the lower end of a range.
    var lower: UInt8?
    var isFirst = true
    while true {
      let byte = try next(orElse: .unclosedClass)
      if byte == UInt8(ascii: "]") && !isFirst { break }
      isFirst = false
      if byte == UInt8(ascii: "-"), let from = lower, let end = rest.first, end != UInt8(ascii: "]") {
        rest.removeFirst()
        let to = end == .backslash ? try next(orElse: .unclosedClass) : end
        if from <= to { for member in from...to { set.insert(member) } }
        lower = nil
      } else if byte == UInt8(ascii: "["), let name = try takeClassName() {
        guard let members = Self.namedClasses[name] else {
          throw PatternError(pattern: pattern, fault: .unknownClass(name))
        }
        for member in UInt8.min...UInt8.max where members(member) { set.insert(member) }
        lower = nil
      } else {
        let member = byte == .backslash ? try next(orElse: .unclosedClass) : byte
        set.insert(member)
        lower = member
      }
    }
    if isNegated { set.complement() }
    // No name holds a slash, so no class may match one, even a class that names it or that is negated.
    set.remove(.slash)
    return set
  }

  /// Takes `:name:]` if it comes next. A `[:` that is not closed by `:]` counts as two plain members.
  private mutating func takeClassName() throws(PatternError) -> String? {
    guard rest.first == UInt8(ascii: ":") else { return nil }
    let inside = rest.dropFirst()
    guard let end = inside.firstIndex(of: UInt8(ascii: "]")) else {
      throw PatternError(pattern: pattern, fault: .unclosedClass)
    }
    guard end > inside.startIndex, inside[end - 1] == UInt8(ascii: ":") else { return nil }
    let name = String(decoding: inside[..<(end - 1)], as: UTF8.self)
    rest = rest[(end + 1)...]
    return name
  }

  private mutating func next(orElse fault: PatternError.Fault) throws(PatternError) -> UInt8 {
    guard let byte = rest.popFirst() else { throw PatternError(pattern: pattern, fault: fault) }
    return byte
  }

  /// The POSIX classes in the C locale, which Git uses in every locale.
  private static let namedClasses: [String: @Sendable (UInt8) -> Bool] = [
    "alpha": { isLower($0) || isUpper($0) },
    "digit": { isDigit($0) },
    "alnum": { isLower($0) || isUpper($0) || isDigit($0) },
    "lower": { isLower($0) },
    "upper": { isUpper($0) },
    "blank": { $0 == 0x20 || $0 == 0x09 },
    "space": { $0 == 0x20 || (0x09...0x0D).contains($0) },
    "cntrl": { $0 < 0x20 || $0 == 0x7F },
    "print": { (0x20...0x7E).contains($0) },
    "graph": { (0x21...0x7E).contains($0) },
    "punct": { (0x21...0x7E).contains($0) && !isLower($0) && !isUpper($0) && !isDigit($0) },
    "xdigit": {
      isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0 | 0x20)
    },
  ]

  private static func isLower(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }
  private static func isUpper(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
  }
  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}

extension UInt8 {
  static let slash = UInt8(ascii: "/")
  static let backslash = UInt8(ascii: "\\")
}
