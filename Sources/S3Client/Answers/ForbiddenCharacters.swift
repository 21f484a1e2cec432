/// Allows an XML parser to read what XML 1.0 forbids (§2.2, Char): control characters, U+FFFE and U+FFFF,
/// references to these or to no character, and bytes that are not UTF-8. Servers send them if keys or names
/// hold them.
///
/// Before parsing, each of them is replaced by a mark, its number and a semicolon. After parsing, it is
/// restored. The mark is a character of the last private-use plane. A mark in the original text is replaced
/// in the same way, so no two texts become equal.
enum ForbiddenCharacters {
  private static let mark: Unicode.Scalar = "\u{10FFFD}"
  private static let end = UInt8(ascii: ";")
  /// The number for bytes that are no character and cannot be restored.
  private static let damage = "x"

  /// The document without forbidden characters; nil if it holds none, because they are then not the reason of
  /// a failure.
  static func escaping(_ document: ArraySlice<UInt8>) -> [UInt8]? {
    var escaped: [UInt8] = []
    escaped.reserveCapacity(document.count + 64)
    var isChanged = false
    var rest = document
    while let first = rest.first {
      if first == UInt8(ascii: "<"), rest.starts(with: "<![CDATA[".utf8) {
        // A CDATA section holds no references. Otherwise it is treated like any text.
        let section = rest.prefix(upTo: endOfSection(in: rest))
        isChanged = append(section, references: .none, to: &escaped) || isChanged
        rest = rest[section.endIndex...]
      } else {
        let next = rest.dropFirst().firstIndex(of: UInt8(ascii: "<")) ?? rest.endIndex
        isChanged = append(rest[..<next], references: .resolved, to: &escaped) || isChanged
        rest = rest[next...]
      }
    }
    return isChanged ? escaped : nil
  }

  private static func endOfSection(in rest: ArraySlice<UInt8>) -> Int {
    let close = Array("]]>".utf8)
    var index = rest.startIndex
    while index + close.count <= rest.endIndex {
      if rest[index...].starts(with: close) { return index + close.count }
      index += 1
    }
    return rest.endIndex
  }

  private enum References {
    case resolved, none
  }

  private static func append(
    _ text: ArraySlice<UInt8>, references: References, to escaped: inout [UInt8]
  ) -> Bool {
    var isChanged = false
    var index = text.startIndex
    while index < text.endIndex {
      let byte = text[index]
      if byte == UInt8(ascii: "&"), references == .resolved, let reference = reference(in: text[index...]) {
        if let scalar = reference.scalar, isAllowed(scalar), scalar != mark {
          escaped += text[index..<reference.end]
        } else {
          append(reference.scalar, to: &escaped)
          isChanged = true
        }
        index = reference.end
      } else if byte >= 0x20, byte < 0x80 {
        escaped.append(byte)
        index += 1
      } else {
        let character = character(in: text[index...])
        if let scalar = character.scalar, isAllowed(scalar), scalar != mark {
          escaped += text[index..<character.end]
        } else {
          append(character.scalar, to: &escaped)
          isChanged = true
        }
        index = character.end
      }
    }
    return isChanged
  }

  private static func append(_ scalar: Unicode.Scalar?, to escaped: inout [UInt8]) {
    escaped += String(mark).utf8
    escaped += (scalar.map { String($0.value) } ?? damage).utf8
    escaped.append(end)
  }

  /// A complete numeric reference at the beginning of the text; nil if there is none.
  static func reference(in text: ArraySlice<UInt8>) -> (scalar: Unicode.Scalar?, end: Int)? {
    // `&#x10FFFF;` has ten bytes. Leading zeros make a reference longer, but servers write few of them.
    guard text.starts(with: "&#".utf8), let close = text.prefix(20).firstIndex(of: end) else { return nil }
    var digits = text[(text.startIndex + 2)..<close]
    let isHexadecimal = digits.first == UInt8(ascii: "x")
    if isHexadecimal { digits = digits.dropFirst() }
    guard !digits.isEmpty, digits.allSatisfy({ isDigit($0, isHexadecimal) }) else { return nil }
    let value = UInt32(String(decoding: digits, as: UTF8.self), radix: isHexadecimal ? 16 : 10)
    return (value.flatMap(Unicode.Scalar.init), close + 1)
  }

  private static func isDigit(_ byte: UInt8, _ isHexadecimal: Bool) -> Bool {
    (0x30...0x39).contains(byte) || isHexadecimal && (0x61...0x66).contains(byte | 0x20)
  }

  /// The character at the beginning of the text; nil for a byte that begins no character.
  private static func character(in text: ArraySlice<UInt8>) -> (scalar: Unicode.Scalar?, end: Int) {
    var decoder = UTF8()
    var bytes = text.prefix(4).makeIterator()
    switch decoder.decode(&bytes) {
    case .scalarValue(let scalar): return (scalar, text.startIndex + UTF8.width(scalar))
    case .emptyInput, .error: return (nil, text.startIndex + 1)
    }
  }

  /// XML 1.0 §2.2, Char.
  static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x9, 0xA, 0xD, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
    default: false
    }
  }

  /// Restores a text after parsing. Also returns whether some bytes were no character.
  static func restored(_ text: String) -> (text: String, isDamaged: Bool) {
    guard text.unicodeScalars.contains(mark) else { return (text, false) }
    var restored = String.UnicodeScalarView()
    var isDamaged = false
    var scalars = text.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      guard scalar == mark else {
        restored.append(scalar)
        continue
      }
      var number = ""
      while let digit = scalars.next(), digit != Unicode.Scalar(end) { number.unicodeScalars.append(digit) }
      if let original = UInt32(number).flatMap(Unicode.Scalar.init) {
        restored.append(original)
      } else {
        restored.append("\u{FFFD}")
        isDamaged = true
      }
    }
    return (String(restored), isDamaged)
  }
}
