/// The parts of an `s3://[profile@]bucket/key` URL. The key keeps its bytes as written, without decoding or
/// normalisation.
package struct S3Location: Sendable, Hashable {
  package var profile: String?
  package var bucket: String
  /// Without a leading slash; empty for the whole bucket.
  package var key: String

  package init(profile: String? = nil, bucket: String, key: String) {
    self.profile = profile
    self.bucket = bucket
    self.key = key
  }

  /// Whether text begins with a scheme and a colon, as a URL does (RFC 3986, 3.1). The slashes after the
  /// colon may be missing.
  package static func hasScheme(_ text: String) -> Bool {
    let bytes = text.utf8
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), let first = bytes.first, isLetter(first) else {
      return false
    }
    return bytes[..<colon].allSatisfy { byte in
      isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        || "+-.".utf8.contains(byte)
    }
  }

  /// Whether text is a URL and not a file name. `a:b` may be a file name; `s3://a` and `s3:/a` are URLs.
  package static func hasURLForm(_ text: String) -> Bool {
    guard hasScheme(text) else { return false }
    return text.utf8.starts(with: "s3:/".utf8) || text.firstRange(of: "://") != nil
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  package init(parsing text: String) throws(S3LocationError) {
    let prefix = "s3://"
    guard text.utf8.starts(with: prefix.utf8) else { throw Self.error(withoutPrefix: text) }
    let rest = Substring(text.utf8.dropFirst(prefix.utf8.count))
    let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
    var authority = rest[..<slash]
    if let at = authority.utf8.lastIndex(of: UInt8(ascii: "@")) {
      let name = authority[..<at]
      guard !name.isEmpty else {
        throw S3LocationError(url: text, reason: "the profile before @ is empty")
      }
      profile = String(name)
      authority = authority[authority.utf8.index(after: at)...]
    }
    guard !authority.isEmpty else {
      throw S3LocationError(url: text, reason: "it names no bucket; write s3://bucket/key")
    }
    guard Self.isBucketName(authority) else {
      throw S3LocationError(
        url: text,
        reason: "\"\(authority)\" is no bucket name (3 to 63 lower-case letters, digits, dots and hyphens)")
    }
    bucket = String(authority)
    key = slash == rest.endIndex ? "" : String(rest[rest.utf8.index(after: slash)...])
    guard key.utf8.count <= Self.maximumKeyBytes else {
      throw S3LocationError(url: text, reason: "its key is over 1,024 bytes, S3's limit")
    }
  }

  /// Describes what is wrong with text that does not begin with `s3://`.
  private static func error(withoutPrefix text: String) -> S3LocationError {
    if text.isEmpty { return S3LocationError(url: text, reason: "it is empty; write s3://bucket/key") }
    if text.utf8.starts(with: "s3:".utf8) {
      let rest = String(decoding: text.utf8.dropFirst(3).drop { $0 == UInt8(ascii: "/") }, as: UTF8.self)
      return S3LocationError(url: text, reason: "it lacks a slash; write s3://\(rest)")
    }
    if hasScheme(text) {
      return S3LocationError(url: text, reason: "its scheme is not s3; write s3://bucket/key")
    }
    if RemoteReference.isPath(text) {
      return S3LocationError(url: text, reason: "it is a local path; write s3://bucket/key")
    }
    return S3LocationError(
      url: text, reason: "it does not begin with s3://; write s3://\(text)", isWithoutScheme: true)
  }

  /// "Creating object key names", Amazon S3 user guide: at most 1,024 bytes of UTF-8.
  package static let maximumKeyBytes = 1024

  /// "General purpose bucket naming rules", Amazon S3 user guide. Old names with upper-case letters and
  /// underscores are allowed too.
  private static func isBucketName(_ name: Substring) -> Bool {
    (3...255).contains(name.utf8.count)
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  /// Whether the URL names a directory: its key is empty or ends in a slash.
  package var isExplicitPrefix: Bool { key.isEmpty || key.utf8.last == UInt8(ascii: "/") }

  /// The key as a prefix: empty for the whole bucket, otherwise with one slash at its end.
  package var prefix: String { isExplicitPrefix ? key : key + "/" }

  /// The URL without the profile.
  package var url: String { "s3://\(bucket)/\(key)" }

  /// Whether one location contains the other: `b/a` and `b/a/x` overlap, `b/a` and `b/ab` do not.
  package func overlaps(_ other: S3Location) -> Bool {
    guard bucket == other.bucket else { return false }
    let (left, right) = (prefix.utf8, other.prefix.utf8)
    return left.starts(with: right) || right.starts(with: left)
  }
}

/// Text that is no usable `s3://` location, with the reason and the remedy.
package struct S3LocationError: Error, Sendable, Hashable, CustomStringConvertible {
  package var url: String
  package var reason: String
  /// The text is a name without a scheme, such as `bucket/key`.
  var isWithoutScheme = false

  package var description: String { "\"\(url)\" is not a usable remote: \(reason)" }
}
