/// An XML document being written. Its text is escaped so that what arrives is, byte for byte, what was given.
package struct RequestDocument: Sendable {
  package private(set) var bytes: [UInt8] = []

  /// - Parameter root: opened with S3's namespace; `close` it at the end.
  package init(root: String) {
    bytes = Array(#"<?xml version="1.0" encoding="UTF-8"?>"#.utf8)
    bytes += Array("<\(root) xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".utf8)
  }

  package mutating func open(_ name: String) { bytes += Array("<\(name)>".utf8) }

  package mutating func close(_ name: String) { bytes += Array("</\(name)>".utf8) }

  package mutating func element(_ name: String, _ text: String) {
    open(name)
    for byte in text.utf8 { append(byte) }
    close(name)
  }

  /// CR, LF and TAB go as references: a parser would otherwise turn a CR into an LF (XML 1.0 §2.11).
  private mutating func append(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "&"): bytes += Array("&amp;".utf8)
    case UInt8(ascii: "<"): bytes += Array("&lt;".utf8)
    case UInt8(ascii: ">"): bytes += Array("&gt;".utf8)
    case UInt8(ascii: "\""): bytes += Array("&quot;".utf8)
    case UInt8(ascii: "'"): bytes += Array("&apos;".utf8)
    case 0..<0x20: bytes += Array("&#\(byte);".utf8)
    default: bytes.append(byte)
    }
  }

  /// Whether XML 1.0 §2.2 (Char) can carry every character of the text, references included.
  package static func canCarry(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy(ForbiddenCharacters.isAllowed)
  }
}
