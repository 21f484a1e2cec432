import Digests
import HTTPTransport

/// The properties of an object in a response's header: HeadObject's answer, and the beginning of GetObject's.
///
/// Each value is parsed when it is used, because most small downloads, of which there may be thousands a
/// second, do not use the dates.
package struct ObjectHead: Sendable {
  private let headers: HTTPHeaders

  init(_ headers: HTTPHeaders) {
    self.headers = headers
  }

  /// What the head lacks of the fields that S3 sends with every object; nil if it is complete.
  ///
  /// A missing size would count as 0, and a missing version would match any version.
  ///
  /// - Parameter range: the requested range; nil for the whole object.
  static func fault(in head: HTTPResponse, range: ClosedRange<Int64>?) -> String? {
    if ETag.bare(head.headers["ETag"] ?? "").isEmpty { return "an object without an ETag" }
    guard let text = head.headers["Content-Length"], let byteCount = Int64(text), byteCount >= 0 else {
      return "an object without a Content-Length"
    }
    guard range != nil else {
      return head.status == 200 ? nil : "a part of an object (HTTP \(head.status)), not the whole"
    }
    if let part = ContentRange(head.headers["Content-Range"]), part.count != byteCount {
      return "\(part.count) bytes by Content-Range and \(byteCount) by Content-Length"
    }
    return nil
  }

  /// The size of the whole object, even if a range was requested.
  package var byteCount: Int64 {
    ContentRange(headers["Content-Range"])?.total ?? headers["Content-Length"].flatMap(Int64.init) ?? 0
  }
  /// The size of the requested content: the whole object, a range or a part.
  package var contentLength: Int64? { headers["Content-Length"].flatMap(Int64.init) }
  /// Without quotes.
  package var etag: String { ETag.bare(headers["ETag"] ?? "") }
  /// Nanoseconds since 1970-01-01 UTC, in whole seconds. AWS dates a multipart object by the start of its
  /// upload.
  package var lastModified: Int64? { headers["Last-Modified"].flatMap(S3Date.nanoseconds(httpDate:)) }
  package var contentType: String? { headers["Content-Type"] }
  /// As sent: Base64; a composite checksum also has a `-` and the number of parts.
  package var checksumCRC32: String? { headers["x-amz-checksum-crc32"] }
  package var checksumType: ChecksumType? { ChecksumType(headers["x-amz-checksum-type"]) }
  /// The server's clock: nanoseconds since 1970-01-01 UTC.
  package var serverDate: Int64? { headers["Date"].flatMap(S3Date.nanoseconds(httpDate:)) }
  package var storageClass: String? { headers["x-amz-storage-class"] }
  /// Whether the ETag may be made of MD5s. Under SSE-KMS and SSE-C it is not, although it looks the same
  /// (AWS, "Object").
  package var mayHaveDigestTag: Bool {
    if headers["x-amz-server-side-encryption-customer-algorithm"] != nil { return false }
    return headers["x-amz-server-side-encryption"].map { !$0.hasPrefix("aws:kms") } ?? true
  }
  package var versionID: String? { headers["x-amz-version-id"] }
  package var requestID: String? { headers["x-amz-request-id"] }

  /// User metadata by lower-case name, without `x-amz-meta-`.
  package var metadata: [String: String] {
    let prefix = "x-amz-meta-"
    var found: [String: String] = [:]
    for field in headers.fields where HTTPHeaders.name(field.name, beginsWith: prefix) {
      found[String(Substring(field.name.utf8.dropFirst(prefix.utf8.count))).lowercased()] = field.value
    }
    return found
  }

  /// The CRC-32 of the object's bytes, if the checksum is known to be that. A composite checksum is computed
  /// over the parts' checksums.
  package var fullObjectCRC32: CRC32? {
    guard let checksumCRC32 else { return nil }
    switch checksumType {
    case .composite: return nil
    case .fullObject: break
    // Without a type (which servers send since 2024), the checksum of a multipart object is composite.
    case nil: if etag.utf8.contains(UInt8(ascii: "-")) { return nil }
    }
    return CRC32(base64: checksumCRC32)
  }
}

/// What the checksum of a multipart object is computed over (AWS, "Checking object integrity").
package enum ChecksumType: String, Sendable, Hashable {
  case fullObject = "FULL_OBJECT"
  case composite = "COMPOSITE"

  init?(_ text: String?) {
    guard let value = text.flatMap(ChecksumType.init(rawValue:)) else { return nil }
    self = value
  }
}

/// `bytes 0-499/1234` (RFC 9110 §14.4). The total may be unknown: `*`.
package struct ContentRange: Sendable, Hashable {
  package var bytes: ClosedRange<Int64>
  package var total: Int64?

  /// Limited to the largest value, because a server may send any numbers.
  var count: Int64 {
    let (count, overflow) = (bytes.upperBound - bytes.lowerBound).addingReportingOverflow(1)
    return overflow ? .max : count
  }

  package init?(_ field: String?) {
    guard let words = field?.split(separator: " "), words.count == 2, words[0].lowercased() == "bytes"
    else { return nil }
    let halves = words[1].split(separator: "/")
    let ends = halves.first?.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) } ?? []
    guard halves.count == 2, ends.count == 2, let first = ends[0], let last = ends[1], first >= 0,
      first <= last
    else { return nil }
    bytes = first...last
    total = Int64(halves[1])
  }
}
