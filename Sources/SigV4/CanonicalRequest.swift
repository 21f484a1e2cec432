/// The canonical form of a request that both sides hash: method, path, query, signed headers and the body's
/// hash, one line each (AWS General Reference, "Create a canonical request").
package struct CanonicalRequest: Sendable {
  package let text: String
  /// The names of the signed headers in lower case and byte order: `host;x-amz-date`.
  package let signedHeaders: String

  init(
    method: String, path: String, query: String, headers: [(name: String, value: String)],
    payload: PayloadHash,
    dialect: SigningDialect
  ) {
    let newline = UInt8(ascii: "\n")
    // Built in place, because a request is signed for every small object, thousands of times a second.
    var names: [UInt8] = []
    var lines: [UInt8] = []
    names.reserveCapacity(256)
    lines.reserveCapacity(1 << 10)
    lines.append(text: method)
    lines.append(newline)
    lines.append(text: Self.canonicalPath(path, dialect))
    lines.append(newline)
    lines.append(text: query)
    lines.append(newline)
    for field in Self.canonicalFields(headers) {
      if !names.isEmpty { names.append(UInt8(ascii: ";")) }
      names.append(text: field.name)
      lines.append(text: field.name)
      lines.append(UInt8(ascii: ":"))
      lines.append(text: field.value)
      lines.append(newline)
    }
    lines.append(newline)
    lines += names
    lines.append(newline)
    lines.append(text: payload.text)
    signedHeaders = String(decoding: names, as: UTF8.self)
    text = String(decoding: lines, as: UTF8.self)
  }

  /// Names in lower case and byte order; values trimmed, with runs of white space as one space; headers with
  /// the same name joined by commas in their given order.
  private static func canonicalFields(_ headers: [(name: String, value: String)]) -> [(
    name: String, value: String
  )] {
    var fields: [(name: String, value: String)] = []
    fields.reserveCapacity(headers.count)
    for header in headers {
      let (name, value) = (lowercased(header.name), trimmed(header.value))
      let place = fields.firstIndex { !precedes($0.name, name) } ?? fields.endIndex
      if place < fields.endIndex, !precedes(name, fields[place].name) {
        fields[place].value += "," + value
      } else {
        fields.insert((name, value), at: place)
      }
    }
    return fields
  }

  /// Byte order.
  private static func precedes(_ left: String, _ right: String) -> Bool {
    let (mine, others) = (left.utf8.span, right.utf8.span)
    for index in 0..<min(mine.count, others.count) where mine[index] != others[index] {
      return mine[index] < others[index]
    }
    return mine.count < others.count
  }

  /// ASCII only: header names have no other letters (RFC 9110 §5.6.2), and `String.lowercased()` changes more
  /// than these.
  static func lowercased(_ name: String) -> String {
    let capitals = UInt8(ascii: "A")...UInt8(ascii: "Z")
    guard holds(name, capitals.contains) else { return name }
    return String(decoding: name.utf8.map { capitals.contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
  }

  private static func trimmed(_ value: String) -> String {
    guard holds(value, isWhiteSpace) else { return value }
    let words = value.utf8.split(omittingEmptySubsequences: true, whereSeparator: isWhiteSpace)
    return words.map { String(Substring($0)) }.joined(separator: " ")
  }

  /// Whether the text has a byte of a kind.
  private static func holds(_ text: String, _ isMeant: (UInt8) -> Bool) -> Bool {
    var text = text
    return text.withUTF8 { $0.contains(where: isMeant) }
  }

  private static func isWhiteSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || (0x09...0x0d).contains(byte)
  }

  private static func canonicalPath(_ path: String, _ dialect: SigningDialect) -> String {
    var path = path.utf8.isEmpty ? "/" : path
    if dialect.pathSegments == .normalized { path = normalized(path) }
    return dialect.pathEncoding == .twice ? uriEncode(path, as: .path) : path
  }

  private static func normalized(_ path: String) -> String {
    let slash = UInt8(ascii: "/")
    var kept: [String] = []
    for segment in path.utf8.split(separator: slash).map({ String(Substring($0)) }) {
      switch segment {
      case ".": continue
      case "..": _ = kept.popLast()
      default: kept.append(segment)
      }
    }
    let isDirectory = path.utf8.last == slash && !kept.isEmpty
    return "/" + kept.joined(separator: "/") + (isDirectory ? "/" : "")
  }
}

extension [UInt8] {
  /// Appends the text's UTF-8.
  mutating func append(text: String) {
    var text = text
    text.withUTF8 { append(contentsOf: $0) }
  }
}
