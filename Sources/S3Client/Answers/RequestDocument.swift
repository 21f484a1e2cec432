/// Writes an XML document. Text is escaped so that the receiver gets exactly the given bytes.
package struct RequestDocument: Sendable {
  package private(set) var bytes: [UInt8] = []

  /// - Parameter root: opened with S3's namespace. Call `close` for it at the end.
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

  /// CR, LF and TAB are written as references, because a parser would turn a CR into an LF (XML 1.0 §2.11).
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

  /// Whether XML 1.0 §2.2 (Char) can represent every character of the text, possibly as a reference.
  package static func canCarry(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy(ForbiddenCharacters.isAllowed)
  }
}
