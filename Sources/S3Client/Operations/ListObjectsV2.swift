/// The objects below a prefix, in pages of at most 1,000. `ObjectStore.listing` reads all pages.
///
/// S3 lists in UTF-8 order. Some servers list in another order, so code that merges listings has to check it.
package struct ListObjectsV2: S3Operation {
  package static let name = "ListObjectsV2"

  package var prefix: String
  /// `/` lists one level: deeper keys are grouped in `commonPrefixes`.
  package var delimiter: String?
  package var continuationToken: String?
  /// The listing begins after this key, which need not exist. A token takes precedence.
  package var startAfter: String?
  package var limit: Int?

  package init(
    prefix: String = "", delimiter: String? = nil, continuationToken: String? = nil,
    startAfter: String? = nil, limit: Int? = nil
  ) {
    self.prefix = prefix
    self.delimiter = delimiter
    self.continuationToken = continuationToken
    self.startAfter = startAfter
    self.limit = limit
  }

  package struct Output: Sendable {
    package var objects: [ListedObject]
    package var commonPrefixes: [String]
    /// Keys that are not UTF-8, percent-encoded as received. A listing with such a key is incomplete.
    package var unreadableKeys: [String]
    package var nextContinuationToken: String?
    package var isTruncated: Bool
    /// The server's clock: nanoseconds since 1970-01-01 UTC.
    package var serverDate: Int64?
    /// How long the server took before it began its answer; nil if it is not known.
    package var wait: Duration?
  }

  package var key: String? { nil }

  package func request() -> S3Request {
    // Without encoding-type, a key with a control character leads to an answer that no XML parser accepts.
    var query: [(name: String, value: String?)] = [("list-type", "2"), ("encoding-type", "url")]
    if !prefix.isEmpty { query.append(("prefix", prefix)) }
    if let delimiter { query.append(("delimiter", delimiter)) }
    if let continuationToken { query.append(("continuation-token", continuationToken)) }
    if let startAfter { query.append(("start-after", startAfter)) }
    if let limit { query.append(("max-keys", String(limit))) }
    return S3Request(method: .get, query: query)
  }

  package func output(from response: S3Response) throws -> Output {
    var page = try ListingScanner.page(response.http.body) ?? parsedOutput(from: response)
    page.serverDate = response.serverDate
    page.wait = response.http.wait
    guard page.isTruncated else { return page }
    guard let next = page.nextContinuationToken else {
      throw S3Error.malformed(response, operation: Self.name, "a truncated page that names no next one")
    }
    if let continuationToken, next.utf8.elementsEqual(continuationToken.utf8) {
      throw S3Error.malformed(response, operation: Self.name, "a truncated page that leads to itself")
    }
    return page
  }

  /// Reads the answer with the general parser if the scanner cannot.
  func parsedOutput(from response: S3Response) throws -> Output {
    let tree = try document("ListBucketResult", in: response)
    let isEncoded = tree.encodesKeys
    var output = Output(
      objects: [], commonPrefixes: [], unreadableKeys: [],
      nextContinuationToken: tree.text(of: "NextContinuationToken").flatMap { $0.isEmpty ? nil : $0 },
      isTruncated: try isTruncated(tree, in: response), serverDate: nil)
    for element in tree.children {
      switch element.name {
      case "Contents":
        guard let written = element.text(of: "Key"), let byteCount = element.number(of: "Size"),
          byteCount >= 0
        else {
          throw S3Error.malformed(response, operation: Self.name, "<Contents> without Key or Size")
        }
        guard let key = element.key(of: "Key", isEncoded: isEncoded) else {
          output.unreadableKeys.append(written)
          continue
        }
        output.objects.append(
          ListedObject(
            key: key, byteCount: byteCount, etag: ETag.bare(element.text(of: "ETag") ?? ""),
            lastModified: element.text(of: "LastModified").flatMap(S3Date.nanoseconds(iso8601:))))
      case "CommonPrefixes":
        for child in element.children where child.name == "Prefix" {
          if let prefix = child.key(isEncoded: isEncoded) {
            output.commonPrefixes.append(prefix)
          } else {
            output.unreadableKeys.append(child.text)
          }
        }
      default: break
      }
    }
    return output
  }
}

/// One object of a listing.
package struct ListedObject: Sendable {
  package var key: String
  package var byteCount: Int64
  /// Without quotes; empty if the server sent none.
  package var etag: String
  /// Nanoseconds since 1970-01-01 UTC.
  package var lastModified: Int64?

  package init(key: String, byteCount: Int64, etag: String, lastModified: Int64?) {
    self.key = key
    self.byteCount = byteCount
    self.etag = etag
    self.lastModified = lastModified
  }
}
