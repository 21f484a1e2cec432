import Digests
import HTTPTransport

/// What a response's header tells of an object: HeadObject's answer, and the beginning of GetObject's.
///
/// Read when it is asked for: of thousands of small downloads a second hardly anybody wants the dates.
package struct ObjectHead: Sendable {
  private let headers: HTTPHeaders

  init(_ headers: HTTPHeaders) {
    self.headers = headers
  }

  /// What the head lacks of what S3 sends with every object; nil when it is whole.
  ///
  /// A size that is missing would be taken for 0, and a version that is missing for any.
  ///
  /// - Parameter range: what was asked for, nil for the whole object.
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

  /// The whole object's, also when a range was asked for.
  package var byteCount: Int64 {
    ContentRange(headers["Content-Range"])?.total ?? headers["Content-Length"].flatMap(Int64.init) ?? 0
  }
  /// Of what was asked for: the whole object, a range or a part.
  package var contentLength: Int64? { headers["Content-Length"].flatMap(Int64.init) }
  /// Bare.
  package var etag: String { ETag.bare(headers["ETag"] ?? "") }
  /// Nanoseconds since 1970-01-01 UTC, whole seconds; AWS dates a multipart object by its start.
  package var lastModified: Int64? { headers["Last-Modified"].flatMap(S3Date.nanoseconds(httpDate:)) }
  package var contentType: String? { headers["Content-Type"] }
  /// As sent: base64, and for a composite one with `-` and the number of parts.
  package var checksumCRC32: String? { headers["x-amz-checksum-crc32"] }
  package var checksumType: ChecksumType? { ChecksumType(headers["x-amz-checksum-type"]) }
  /// The server's clock: nanoseconds since 1970-01-01 UTC.
  package var serverDate: Int64? { headers["Date"].flatMap(S3Date.nanoseconds(httpDate:)) }
  package var storageClass: String? { headers["x-amz-storage-class"] }
  /// Whether the ETag may be made of MD5s: under SSE-KMS and SSE-C it is not, though it looks like it (AWS, "Object").
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
    for field in headers.fields {
      let name = field.name.lowercased()
      if name.utf8.starts(with: prefix.utf8) { found[String(name.dropFirst(prefix.count))] = field.value }
    }
    return found
  }

  /// The CRC32 of the object's bytes, where the checksum is known to be that: a composite one is the checksum of the parts' checksums.
  package var fullObjectCRC32: CRC32? {
    guard let checksumCRC32 else { return nil }
    switch checksumType {
    case .composite: return nil
    case .fullObject: break
    // Without the type (it came in 2024) a multipart object's is composite.
    case nil: if etag.utf8.contains(UInt8(ascii: "-")) { return nil }
    }
    return CRC32(base64: checksumCRC32)
  }
}

/// What a checksum of a multipart object is taken of (AWS, "Checking object integrity").
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

  /// Saturating: the ends are a server's words.
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
