import HTTPTransport

/// An object's ETag. All code above this file uses it without quotes, so that two spellings of one tag are
/// equal.
package enum ETag {
  /// `"abc"`, `&#34;abc&#34;` (escaped twice by some servers), `&quot;abc&quot;` and `abc` are all `abc`.
  package static func bare(_ text: String) -> String {
    var rest = text.utf8[...]
    if rest.starts(with: "W/".utf8) { rest = rest.dropFirst(2) }
    for quote in quotes {
      if rest.starts(with: quote.utf8) { rest = rest.dropFirst(quote.utf8.count) }
      if rest.suffix(quote.utf8.count).elementsEqual(quote.utf8) { rest = rest.dropLast(quote.utf8.count) }
    }
    return rest.count == text.utf8.count ? text : String(Substring(rest))
  }

  private static let quotes = ["\"", "&#34;", "&quot;"]

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
