/// The place where a text stops being JSON (RFC 8259). FoundationEssentials' decoder does not report the
/// place.
struct JSONFault: Error, Hashable, CustomStringConvertible {
  /// Both start at 1. Columns count bytes.
  var line: Int
  var column: Int

  var description: String { "line \(line), column \(column)" }

  /// - Throws: `JSONFault` at the first byte that is not allowed at its place; for an incomplete text, at its
  ///   end.
  static func check(_ text: [UInt8]) throws(JSONFault) {
    var scan = Scan(text: text)
    do {
      try scan.value()
      scan.skipSpace()
      if scan.position < text.count { throw Unexpected() }
    } catch {
      let before = text[..<scan.position]
      let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
      throw JSONFault(
        line: before.count { $0 == UInt8(ascii: "\n") } + 1, column: scan.position - lineStart + 1)
    }
  }
}

private struct Unexpected: Error {}

/// One pass over the text. After an error, `position` is at the unexpected byte.
private struct Scan {
  let text: [UInt8]
  private(set) var position = 0
  private var depth = 0

  /// The same depth as the decoder's limit. Each level is one call.
  private static let deepest = 512

  init(text: [UInt8]) { self.text = text }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  mutating func skipSpace() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
  }

  private mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: byte) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ literal: String) throws {
    for byte in literal.utf8 {
      guard next == byte else { throw Unexpected() }
      position += 1
    }
  }

  mutating func value() throws {
    skipSpace()
    switch next {
    case UInt8(ascii: "{"):
      try list(endingWith: "}") { scan throws in
        scan.skipSpace()
        try scan.string()
        scan.skipSpace()
        try scan.expect(":")
        try scan.value()
      }
    case UInt8(ascii: "["): try list(endingWith: "]") { scan throws in try scan.value() }
    case UInt8(ascii: "\""): try string()
    case UInt8(ascii: "t"): try expect("true")
    case UInt8(ascii: "f"): try expect("false")
    case UInt8(ascii: "n"): try expect("null")
    default: try number()
    }
  }

  private mutating func list(endingWith end: Unicode.Scalar, of element: (inout Scan) throws -> Void) throws {
    guard depth < Self.deepest else { throw Unexpected() }
    depth += 1
    defer { depth -= 1 }
    position += 1
    skipSpace()
    if take(end) { return }
    repeat {
      try element(&self)
      skipSpace()
    } while take(",")
    guard take(end) else { throw Unexpected() }
  }

  private mutating func string() throws {
    try expect("\"")
    while let byte = next, byte >= 0x20 {
      if take("\"") { return }
      position += 1
      if byte == UInt8(ascii: "\\") { try escape() }
    }
    throw Unexpected()
  }

  private mutating func escape() throws {
    if take("u") {
      for _ in 0..<4 {
        guard let digit = next, Character(Unicode.Scalar(digit)).isHexDigit else { throw Unexpected() }
        position += 1
      }
    } else {
      guard let byte = next, "\"\\/bfnrt".utf8.contains(byte) else { throw Unexpected() }
      position += 1
    }
  }

  private mutating func number() throws {
    _ = take("-")
    if !take("0") { try digits() }
    if take(".") { try digits() }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      try digits()
    }
  }

  private mutating func digits() throws {
    let start = position
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    if position == start { throw Unexpected() }
  }
}
