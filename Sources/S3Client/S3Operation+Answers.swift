import Digests
import HTTPTransport
import SigV4

/// Common functions of operations for writing requests and reading answers.
extension S3Operation {
  /// The answer's XML, whose root element must be `root`.
  ///
  /// - Throws: `S3Error` for an `<Error>` with a success status, for another root element, and for text that
  ///   cannot be parsed.
  func document(_ root: String, in response: S3Response) throws -> XMLTree {
    switch XMLTree.parsing(response.http.body) {
    case .success(let tree) where tree.name == root || tree.name == Self.otherSpelling(of: root): return tree
    case .success(let tree) where tree.name == "Error":
      throw S3Error(answer: response, operation: Self.name)
    case .success(let tree):
      throw S3Error.malformed(response, operation: Self.name, "the body is <\(tree.name)>, not <\(root)>")
    case .failure(let fault):
      throw S3Error.malformed(response, operation: Self.name, fault.description)
    }
  }

  /// The ETag of a written object. An answer without one does not come from S3, but for example from a
  /// captive portal.
  ///
  /// - Throws: a retryable `S3Error` if there is no ETag.
  func requiredETag(in response: S3Response) throws -> String {
    let etag = response.etag
    if etag.isEmpty {
      throw S3Error.malformed(response, operation: Self.name, "a success without an ETag")
    }
    return etag
  }

  /// Checks that the answer has no body. S3 answers these operations with headers only. A body that is no
  /// XML, or a web page, did not come from S3, so the request may not have reached S3.
  ///
  /// - Throws: `S3Error`: that of an `<Error>` document, otherwise a retryable one.
  func requireNoPage(in response: S3Response) throws {
    if response.http.body.allSatisfy(XMLTree.isSpace) { return }
    switch XMLTree.parsing(response.http.body) {
    case .success(let tree) where tree.name == "Error":
      throw S3Error(answer: response, operation: Self.name)
    case .success(let tree) where tree.name.lowercased() != "html": return
    case .success, .failure:
      throw S3Error.malformed(
        response, operation: Self.name, "a success with a body that S3 does not send (a proxy's page?)")
    }
  }

  /// Some servers (moto) use the root element of the SOAP interface: `…Response` in place of `…Result`.
  private static func otherSpelling(of root: String) -> String? {
    let ending = "Result"
    return root.hasSuffix(ending) ? root.dropLast(ending.count) + "Response" : nil
  }

  /// Whether the server returned the sent checksum, which shows that it knows the header and compared the
  /// bytes.
  ///
  /// - Throws: a retryable `S3Error` if the server returned another checksum.
  func isEchoed(_ sent: CRC32?, in response: S3Response) throws -> Bool {
    guard let sent, let echo = response.http.headers["x-amz-checksum-crc32"] else { return false }
    if CRC32(base64: echo) == sent { return true }
    throw S3Error(
      operation: Self.name, bucket: response.bucket, key: response.key, status: response.http.status,
      code: S3ErrorTriage.checksumMismatch, message: "sent CRC32 \(sent.base64), the server has \(echo)",
      requestID: response.http.headers["x-amz-request-id"],
      isRetryable: S3ErrorTriage.isRetryable(
        status: response.http.status, code: S3ErrorTriage.checksumMismatch, operation: Self.name))
  }

  /// Whether there are more pages.
  ///
  /// - Throws: `S3Error` if the element is neither `true` nor `false`, because a page that wrongly counts as
  ///   the last one hides objects.
  func isTruncated(_ tree: XMLTree, in response: S3Response) throws -> Bool {
    if let value = tree.truth(of: "IsTruncated") { return value }
    throw S3Error.malformed(
      response, operation: Self.name, "<\(tree.name)> does not say in <IsTruncated> whether there is more")
  }

  /// - Throws: `S3Error` if the element is missing.
  func required(_ name: String, of tree: XMLTree, in response: S3Response) throws -> String {
    if let text = tree.text(of: name), !text.isEmpty { return text }
    throw S3Error.malformed(response, operation: Self.name, "<\(tree.name)> has no <\(name)>")
  }
}

extension S3Response {
  var requestID: String? { http.headers["x-amz-request-id"] }
  var versionID: String? { http.headers["x-amz-version-id"] }
  var etag: String { ETag.bare(http.headers["ETag"] ?? "") }
  var serverDate: Int64? { http.headers["Date"].flatMap(S3Date.nanoseconds(httpDate:)) }
}

/// Tags in the form of `x-amz-tagging`: a URL query (PutObject), sorted.
package func taggingText(_ tags: [String: String]) -> String {
  canonicalQuery(tags.map { (name: $0.key, value: $0.value) })
}

extension HTTPHeaders {
  /// Sorted by name, so that equal metadata make equal requests.
  mutating func addMetadata(_ metadata: [String: String]) {
    for (name, value) in metadata.sorted(by: { $0.key < $1.key }) { add("x-amz-meta-\(name)", value) }
  }

  mutating func add(_ others: HTTPHeaders) {
    for field in others.fields { self[field.name] = field.value }
  }
}
