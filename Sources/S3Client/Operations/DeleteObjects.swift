import Digests
import HTTPTransport

/// Deletes up to 1,000 objects in one request. The request succeeds even if keys fail: read `failures`.
///
/// Every key must be confirmed, because a quiet answer is the same whether a thousand keys were deleted or
/// none.
package struct DeleteObjects: S3Operation {
  package static let name = "DeleteObjects"
  /// AWS, "DeleteObjects".
  package static let keyLimit = 1_000

  package struct Target: Sendable, Hashable {
    package var key: String
    /// Delete the object only while it has this ETag. Otherwise it stays, and the answer has a failure
    /// `PreconditionFailed` for it (AWS, "How to perform conditional deletes"). A server that does not
    /// support this deletes the object all the same.
    package var ifMatch: String?

    package init(key: String, ifMatch: String? = nil) {
      self.key = key
      self.ifMatch = ifMatch
    }
  }

  package var targets: [Target]

  /// - Parameter targets: at most `keyLimit`, with keys for which `canCarry` is true.
  package init(_ targets: [Target]) {
    self.targets = targets
  }

  package init(keys: [String]) {
    self.init(keys.map { Target(key: $0) })
  }

  /// Whether the key can be written in the request's XML. Other keys need `DeleteObject`.
  ///
  /// The rule is stricter than XML 1.0: TAB, LF and CR could be written as references, but servers may parse
  /// or return them wrongly, and the deletion of a wrong key loses data.
  package static func canCarry(_ key: String) -> Bool {
    RequestDocument.canCarry(key) && !key.utf8.contains { $0 < 0x20 }
  }

  package struct Output: Sendable {
    /// One error for each key that the answer does not confirm as deleted. The status is 0, because each
    /// error is one line of an answer. A key that the answer does not name has the code
    /// `S3ErrorTriage.malformedAnswer`.
    package var failures: [S3Error]
    package var requestID: String?
  }

  package var key: String? { nil }

  package func request() throws -> S3Request {
    try check()
    var document = RequestDocument(root: "Delete")
    document.element("Quiet", "false")
    for target in targets {
      document.open("Object")
      document.element("Key", target.key)
      if let etag = target.ifMatch { document.element("ETag", ETag.quoted(etag)) }
      document.close("Object")
    }
    document.close("Delete")
    let bytes = document.bytes
    // AWS requires one of the two; older servers know only the MD5.
    let headers: HTTPHeaders = [
      "Content-Type": "application/xml", "Content-MD5": base64(md5(bytes)),
      "x-amz-checksum-crc32": CRC32(bytes).base64,
    ]
    return S3Request(
      method: .post, query: [("delete", nil)], headers: headers, body: BytesBody(bytes),
      payloadSHA256: hexadecimal(sha256(bytes)))
  }

  package func output(from response: S3Response) throws -> Output {
    let tree = try document("DeleteResult", in: response)
    let failures = tree.all("Error").map { element in
      let code = element.text(of: "Code") ?? "Unknown"
      return S3Error(
        operation: Self.name, bucket: response.bucket, key: element.text(of: "Key"), status: 0, code: code,
        message: element.text(of: "Message") ?? "", requestID: response.requestID,
        isRetryable: S3ErrorTriage.isRetryable(status: 0, code: code, operation: Self.name))
    }
    return Output(
      failures: failures.filter { $0.key != nil } + unnamed(in: tree, response), requestID: response.requestID
    )
  }

  /// The keys that the answer does not name.
  private func unnamed(in tree: XMLTree, _ response: S3Response) -> [S3Error] {
    // Compared as bytes, because the NFC and NFD forms of a name are two keys.
    let named = Set(
      (tree.all("Deleted") + tree.all("Error")).compactMap { element in
        element.key(of: "Key", isEncoded: false).map { Array($0.utf8) }
      })
    return targets.filter { !named.contains(Array($0.key.utf8)) }.map { target in
      var error = S3Error.malformed(
        response, operation: Self.name, "the answer names this key neither as deleted nor as failed")
      error.key = target.key
      error.status = 0
      return error
    }
  }

  private func check() throws {
    var fault: (key: String?, message: String)?
    if targets.isEmpty || targets.count > Self.keyLimit {
      fault = (nil, "\(targets.count) keys; one request takes 1 to \(Self.keyLimit)")
    } else if let odd = targets.first(where: { !Self.canCarry($0.key) }) {
      fault = (odd.key, "XML 1.0 cannot carry this key; delete it by DeleteObject")
    }
    guard let fault else { return }
    throw S3Error(
      operation: Self.name, bucket: "", key: fault.key, status: 0, code: "InvalidRequest",
      message: fault.message)
  }
}
