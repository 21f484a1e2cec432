/// Decodes `encoding-type=url`. Nil if the result is not UTF-8, because a repaired key would be another key.
///
/// `+` means a space: AWS and others write a space as `+`, and every server writes a literal plus as `%2B`.
func decodedKey(_ text: String) -> String? {
  var bytes: [UInt8] = []
  bytes.reserveCapacity(text.utf8.count)
  var rest = text.utf8.makeIterator()
  while let byte = rest.next() {
    switch byte {
    case UInt8(ascii: "+"): bytes.append(0x20)
    case UInt8(ascii: "%"):
      guard let high = rest.next().flatMap(hexDigit), let low = rest.next().flatMap(hexDigit) else {
        return nil
      }
      bytes.append(high << 4 | low)
    default: bytes.append(byte)
    }
  }
  return textIfUTF8(bytes, in: bytes.indices)
}

/// Nil for bytes that are not UTF-8. `String(validating:as:)` does the same generically, but three times
/// slower.
func textIfUTF8(_ bytes: [UInt8], in range: Range<Int>) -> String? {
  do { return String(copying: try UTF8Span(validating: bytes.span.extracting(range))) } catch { return nil }
}

/// Whether a text may be the result of `encoding-type=url`: it has no space and no byte outside ASCII, and
/// every `%` begins an escape.
func canBeEncoded(_ text: String) -> Bool {
  let bytes = Array(text.utf8)
  return bytes.indices.allSatisfy { index in
    switch bytes[index] {
    case 0...0x20, 0x7F...0xFF: return false
    case UInt8(ascii: "%"):
      return index + 2 < bytes.count && hexDigit(bytes[index + 1]) != nil && hexDigit(bytes[index + 2]) != nil
    default:
      return !"\"<>\\^`{|}".utf8.contains(bytes[index])
    }
  }
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
  default: nil
  }
}

extension XMLTree {
  /// A key in a child element. The answer shows whether keys are encoded, because a server that ignores the
  /// request's `encoding-type` sends keys unencoded.
  func key(of name: String, isEncoded: Bool) -> String? { self[name]?.key(isEncoded: isEncoded) }

  /// The element's text as a key; nil if it is not UTF-8.
  func key(isEncoded: Bool) -> String? {
    if isDamaged { return nil }
    return isEncoded ? decodedKey(text) : text
  }

  var encodesKeys: Bool { text(of: "EncodingType") == "url" }
}
