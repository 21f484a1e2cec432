/// The place of a text in a URI, which decides how slashes are encoded.
package enum URIComponent: Sendable {
  /// A path: `/` separates names and is kept.
  case path
  /// A name or value of the query: `/` becomes `%2F`.
  case query
}

/// Percent-encodes every byte of the text's UTF-8 except RFC 3986's unreserved characters.
///
/// AWS requires exactly this form ("Create a canonical request", UriEncode): escapes in upper case, and a
/// space as `%20`, never `+`. No segment is removed or merged and nothing is normalised, because a key's
/// bytes must not change.
package func uriEncode(_ text: String, as component: URIComponent) -> String {
  if text.utf8.allSatisfy({ isKept($0, in: component) }) { return text }
  var encoded: [UInt8] = []
  encoded.reserveCapacity(text.utf8.count + 16)
  encoded.append(uriEncoding: text, as: component)
  return String(decoding: encoded, as: UTF8.self)
}

/// The query of a URL, encoded and in canonical order: `list-type=2&prefix=a%2Fb`.
///
/// Parameters are sorted by the encoded name and then by the encoded value, byte by byte. Sorting the joined
/// `name=value` strings would differ: `a=` would come after `a-b=`, because `=` is greater than `-`.
package func canonicalQuery(_ parameters: [(name: String, value: String)]) -> String {
  parameters
    .map { (name: uriEncode($0.name, as: .query), value: uriEncode($0.value, as: .query)) }
    .sorted { left, right in
      if !left.name.utf8.elementsEqual(right.name.utf8) {
        return left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
      }
      return left.value.utf8.lexicographicallyPrecedes(right.value.utf8)
    }
    .map { $0.name + "=" + $0.value }
    .joined(separator: "&")
}

extension [UInt8] {
  mutating func append(uriEncoding text: String, as component: URIComponent) {
    for byte in text.utf8 {
      if isKept(byte, in: component) {
        append(byte)
      } else {
        append(UInt8(ascii: "%"))
        append(upperHexadecimalDigit(byte >> 4))
        append(upperHexadecimalDigit(byte & 0xf))
      }
    }
  }
}

private func isKept(_ byte: UInt8, in component: URIComponent) -> Bool {
  switch byte {
  case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
    UInt8(ascii: "~"):
    true
  case UInt8(ascii: "/"): component == .path
  default: false
  }
}

private func upperHexadecimalDigit(_ value: UInt8) -> UInt8 {
  value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
}
