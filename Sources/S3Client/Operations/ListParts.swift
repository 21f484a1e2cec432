/// The parts of a multipart upload, by number, in pages.
package struct ListParts: S3Operation {
  package static let name = "ListParts"

  /// AWS, "Amazon S3 multipart upload limits".
  private static let numbers: ClosedRange<Int64> = 1...10_000

  package var objectKey: String
  package var uploadID: String
  /// The page begins after this number.
  package var after: Int?
  /// At most 1,000.
  package var limit: Int?

  package init(key: String, uploadID: String, after: Int? = nil, limit: Int? = nil) {
    self.objectKey = key
    self.uploadID = uploadID
    self.after = after
    self.limit = limit
  }

  package struct Part: Sendable, Hashable {
    package var number: Int
    package var byteCount: Int64
    package var etag: String
    /// Base64.
    package var checksumCRC32: String?
    /// Nanoseconds since 1970-01-01 UTC.
    package var lastModified: Int64?
  }

  package struct Output: Sendable {
    package var parts: [Part]
    /// The value of `after` for the next page; nil on the last page. It always grows, so a server that
    /// repeats itself cannot cause an endless loop.
    package var next: Int?
    package var checksumAlgorithm: String?
    package var checksumType: ChecksumType?
    /// The server's clock: nanoseconds since 1970-01-01 UTC.
    package var serverDate: Int64?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var query: [(name: String, value: String?)] = [("uploadId", uploadID)]
    if let limit { query.append(("max-parts", String(limit))) }
    if let after { query.append(("part-number-marker", String(after))) }
    return S3Request(method: .get, key: objectKey, query: query)
  }

  package func output(from response: S3Response) throws -> Output {
    let tree = try document("ListPartsResult", in: response)
    let parts = try tree.all("Part").map { element in
      let etag = ETag.bare(element.text(of: "ETag") ?? "")
      guard let number = element.number(of: "PartNumber"), Self.numbers.contains(number),
        let byteCount = element.number(of: "Size"), byteCount >= 0, !etag.isEmpty
      else {
        throw S3Error.malformed(response, operation: Self.name, "a <Part> without PartNumber, Size or ETag")
      }
      return Part(
        number: Int(number), byteCount: byteCount, etag: etag,
        checksumCRC32: element.text(of: "ChecksumCRC32").flatMap { $0.isEmpty ? nil : $0 },
        lastModified: element.text(of: "LastModified").flatMap(S3Date.nanoseconds(iso8601:)))
    }
    return Output(
      parts: parts.filter { $0.number > after ?? 0 }, next: try next(tree, parts, response),
      checksumAlgorithm: tree.text(of: "ChecksumAlgorithm"),
      checksumType: ChecksumType(tree.text(of: "ChecksumType")), serverDate: response.serverDate)
  }

  private func next(_ tree: XMLTree, _ parts: [Part], _ response: S3Response) throws -> Int? {
    // A page without this element counts as the last one. The consequence is only that unseen parts are sent
    // again.
    guard tree.truth(of: "IsTruncated") == true else { return nil }
    let marker = tree.number(of: "NextPartNumberMarker").map { Int(clamping: $0) } ?? parts.last?.number
    guard let marker, marker > after ?? 0, marker <= Self.numbers.upperBound else {
      throw S3Error.malformed(response, operation: Self.name, "a truncated page that leads nowhere")
    }
    return marker
  }
}
