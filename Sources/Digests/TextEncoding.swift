/// The bytes in lower-case hexadecimal, as in ETags and signatures.
package func hexadecimal(_ bytes: [UInt8]) -> String {
  String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
    // SAFETY: two digits for each byte fill exactly the requested capacity; all of it is ASCII.
    var index = 0
    for byte in bytes {
      buffer[index] = hexadecimalDigit(byte >> 4)
      buffer[index + 1] = hexadecimalDigit(byte & 0xf)
      index += 2
    }
    return index
  }
}

private func hexadecimalDigit(_ value: UInt8) -> UInt8 {
  value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}

/// The bytes of hexadecimal text in either case; nil for any other text.
package func decodeHexadecimal(_ text: String) -> [UInt8]? {
  let digits = text.utf8
  guard digits.count.isMultiple(of: 2) else { return nil }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(digits.count / 2)
  var high: UInt8?
  for digit in digits {
    guard let value = hexadecimalValue(digit) else { return nil }
    if let first = high {
      bytes.append(first << 4 | value)
      high = nil
    } else {
      high = value
    }
  }
  return bytes
}

private func hexadecimalValue(_ digit: UInt8) -> UInt8? {
  switch digit {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
  default: nil
  }
}

/// The bytes in base64 with padding (RFC 4648 §4).
package func base64(_ bytes: [UInt8]) -> String {
  let alphabet = Base64.alphabet
  let pad = UInt8(ascii: "=")
  var text: [UInt8] = []
  text.reserveCapacity((bytes.count + 2) / 3 * 4)
  var index = 0
  while index < bytes.count {
    let left = bytes.count - index
    let first = bytes[index]
    let second = left > 1 ? bytes[index + 1] : 0
    let third = left > 2 ? bytes[index + 2] : 0
    text.append(alphabet[Int(first >> 2)])
    text.append(alphabet[Int((first & 0x3) << 4 | second >> 4)])
    text.append(left > 1 ? alphabet[Int((second & 0xf) << 2 | third >> 6)] : pad)
    text.append(left > 2 ? alphabet[Int(third & 0x3f)] : pad)
    index += 3
  }
  return String(decoding: text, as: UTF8.self)
}

/// The bytes of padded Base64; nil for any other text. Foreign characters and stray bits are rejected, so
/// that two texts never mean the same bytes (RFC 4648 §3.3 and §3.5).
package func decodeBase64(_ text: String) -> [UInt8]? {
  let encoded = Array(text.utf8)
  guard encoded.count.isMultiple(of: 4) else { return nil }
  var padding = 0
  while padding < 2, padding < encoded.count, encoded[encoded.count - 1 - padding] == UInt8(ascii: "=") {
    padding += 1
  }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(encoded.count / 4 * 3)
  var bits: UInt32 = 0
  var bitCount = 0
  for character in encoded.dropLast(padding) {
    guard let value = Base64.value(of: character) else { return nil }
    bits = bits << 6 | UInt32(value)
    bitCount += 6
    if bitCount >= 8 {
      bitCount -= 8
      bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
      bits &= (1 << UInt32(bitCount)) - 1
    }
  }
  return bits == 0 ? bytes : nil
}

private enum Base64 {
  static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func value(of character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
