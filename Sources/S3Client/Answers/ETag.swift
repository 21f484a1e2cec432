import HTTPTransport

/// An object's ETag. All code above this file uses it without quotes, so that two spellings of one tag are
/// equal.
package enum ETag {
  /// `"abc"`, `&#34;abc&#34;` (escaped twice by some servers), `&quot;abc&quot;` and `abc` are all `abc`.
  package static func bare(_ text: String) -> String {
    let bytes = text.utf8.span
    var rest = 0..<bytes.count
    if holds(bytes, weak, from: 0, in: rest) { rest = weak.count..<bytes.count }
    for quote in quotes {
      if holds(bytes, quote, from: rest.lowerBound, in: rest) { rest = rest.dropFirst(quote.count) }
      if holds(bytes, quote, from: rest.upperBound - quote.count, in: rest) {
        rest = rest.dropLast(quote.count)
      }
    }
    if rest.count == bytes.count { return text }
    let start = text.utf8.index(text.startIndex, offsetBy: rest.lowerBound)
    return String(text[start..<text.utf8.index(start, offsetBy: rest.count)])
  }

  private static let weak = Array("W/".utf8)
  private static let quotes = ["\"", "&#34;", "&quot;"].map { Array($0.utf8) }

  /// Whether the mark begins at `start`, and lies within the range.
  private static func holds(
    _ bytes: borrowing Span<UInt8>, _ mark: [UInt8], from start: Int, in range: Range<Int>
  ) -> Bool {
    guard start >= range.lowerBound, range.upperBound - start >= mark.count else { return false }
    for offset in mark.indices where bytes[start + offset] != mark[offset] { return false }
    return true
  }

  /// The tag in the form of a condition header (RFC 9110 §8.8.3).
  package static func quoted(_ bare: String) -> String { "\"\(ETag.bare(bare))\"" }

  /// The MD5 of an object's bytes, in hexadecimal, if the tag may be one. The tag of a multipart object has a
  /// `-` and the number of parts. An equal MD5 proves equal content. A different one proves nothing: under
  /// SSE-KMS the tag looks like an MD5 but is no digest.
  package static func md5(_ bare: String) -> String? {
    let digits = bare.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }
    return bare.utf8.count == 32 && digits ? bare.lowercased() : nil
  }
}

/// When a write may replace the present object (AWS, "Conditional writes").
package enum WriteCondition: Sendable, Hashable {
  /// Only while the object still has this ETag; otherwise 412, or 404 if the object is gone.
  case ifMatch(String)
  /// Only if there is no object; otherwise 412.
  case ifAbsent

  func add(to headers: inout HTTPHeaders) {
    switch self {
    case .ifMatch(let etag): headers["If-Match"] = ETag.quoted(etag)
    case .ifAbsent: headers["If-None-Match"] = "*"
    }
  }
}
