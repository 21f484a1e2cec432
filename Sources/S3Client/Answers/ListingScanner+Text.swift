/// Reads text in place.
extension ListingScanner {
  func isEqual(_ range: Range<Int>, _ text: StaticString) -> Bool {
    guard range.count == text.utf8CodeUnitCount else { return false }
    // The bounds are checked once, and not for each byte.
    let found = bytes.span.extracting(range)
    return text.withUTF8Buffer { expected in
      for offset in 0..<found.count where found[offset] != expected[offset] { return false }
      return true
    }
  }

  func isAny(_ range: Range<Int>, of names: [StaticString]) -> Bool { names.contains { isEqual(range, $0) } }

  /// The same range, if it holds no reference.
  func plain(_ range: Range<Int>) throws(Unknown) -> Range<Int> {
    for index in range where bytes[index] == UInt8(ascii: "&") { throw Unknown() }
    return range
  }

  /// Checks that a parser would accept the text: its references are complete, and it does not hold the end of
  /// a section.
  func check(_ range: Range<Int>) throws(Unknown) {
    var index = range.lowerBound
    while index < range.upperBound {
      switch bytes[index] {
      case UInt8(ascii: "&"):
        guard let (_, end) = reference(at: index, before: range.upperBound) else { throw Unknown() }
        index = end
      case UInt8(ascii: ">") where index >= range.lowerBound + 2 && isEqual(index - 2..<index, "]]"):
        throw Unknown()
      default: index += 1
      }
    }
  }

  func isEqual(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    guard left.count == right.count else { return false }
    for offset in 0..<left.count where bytes[left.lowerBound + offset] != bytes[right.lowerBound + offset] {
      return false
    }
    return true
  }

  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end, XMLTree.isSpace(bytes[start]) { start += 1 }
    while start < end, XMLTree.isSpace(bytes[end - 1]) { end -= 1 }
    return start..<end
  }

  func truth(_ range: Range<Int>) -> Bool? {
    isEqual(range, "true") ? true : isEqual(range, "false") ? false : nil
  }

  func number(_ range: Range<Int>) -> Int64? {
    guard (1...18).contains(range.count) else { return nil }
    var value: Int64 = 0
    for index in range {
      guard (0x30...0x39).contains(bytes[index]) else { return nil }
      value = value * 10 + Int64(bytes[index] - 0x30)
    }
    return value
  }

  func hasEscape(_ range: Range<Int>) -> Bool {
    for index in range where bytes[index] <= UInt8(ascii: "+") {
      let byte = bytes[index]
      if byte == UInt8(ascii: "%") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "&") { return true }
    }
    return false
  }

  /// The text with its references resolved. Text with a carriage return is left to the general parser, which
  /// applies XML's rule for it.
  func text(_ range: Range<Int>) throws(Unknown) -> String {
    var isPlain = true
    // One comparison passes most bytes.
    for index in range where bytes[index] <= UInt8(ascii: "&") {
      if bytes[index] == UInt8(ascii: "&") { isPlain = false }
      if bytes[index] == 0x0D || bytes[index] == 0 { throw Unknown() }
    }
    let resolved = isPlain ? [] : try resolvingReferences(range)
    let text = isPlain ? textIfUTF8(bytes, in: range) : textIfUTF8(resolved, in: resolved.indices)
    guard let text else { throw Unknown() }
    return text
  }

  func resolvingReferences(_ range: Range<Int>) throws(Unknown) -> [UInt8] {
    var resolved: [UInt8] = []
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] == UInt8(ascii: "&") else {
        resolved.append(bytes[index])
        index += 1
        continue
      }
      guard let (scalar, end) = reference(at: index, before: range.upperBound) else { throw Unknown() }
      resolved.append(contentsOf: String(Character(scalar)).utf8)
      index = end
    }
    return resolved
  }

  private static let named: [(name: StaticString, scalar: Unicode.Scalar)] = [
    ("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"),
  ]

  /// The reference that begins here, and its end.
  private func reference(at start: Int, before limit: Int) -> (scalar: Unicode.Scalar, end: Int)? {
    for (name, scalar) in Self.named {
      let end = start + name.utf8CodeUnitCount
      if end <= limit, isEqual(start..<end, name) { return (scalar, end) }
    }
    guard let (scalar, end) = ForbiddenCharacters.reference(in: bytes[start..<limit]), let scalar else {
      return nil
    }
    return (scalar, end)
  }
}
