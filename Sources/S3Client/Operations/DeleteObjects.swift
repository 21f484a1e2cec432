import Digests
import HTTPTransport

/// Removes up to 1,000 objects in one request. The request succeeds although keys fail: read `failures`.
///
/// Every key is confirmed: a quiet answer says the same of a thousand keys that are gone as of none.
package struct DeleteObjects: S3Operation {
  package static let name = "DeleteObjects"
  /// AWS, "DeleteObjects".
  package static let keyLimit = 1_000

  package struct Target: Sendable, Hashable {
    package var key: String
    /// The object goes only while it has this ETag: else it stays, with a failure `PreconditionFailed` of its own (AWS,
    /// "How to perform conditional deletes"). A server that does not know it deletes all the same.
    package var ifMatch: String?

    package init(key: String, ifMatch: String? = nil) {
      self.key = key
      self.ifMatch = ifMatch
    }
  }

  package var targets: [Target]

  /// - Parameter targets: at most `keyLimit`, each of whose keys `canCarry` lets pass.
  package init(_ targets: [Target]) {
    self.targets = targets
  }

  package init(keys: [String]) {
    self.init(keys.map { Target(key: $0) })
  }

  /// Whether the key can stand in the request's XML. Others go by `DeleteObject`.
  ///
  /// Stricter than XML 1.0: TAB, LF and CR could go as references, but servers' own parsers and answers are not to be trusted
  /// with them, and a wrong key deleted is data lost.
  package static func canCarry(_ key: String) -> Bool {
    RequestDocument.canCarry(key) && !key.utf8.contains { $0 < 0x20 }
  }

  package struct Output: Sendable {
    /// One error a key of which the answer does not say that it is gone; status 0, since each stands for a line of the answer. A key
    /// that the answer does not name at all has the code `S3ErrorTriage.malformedAnswer`.
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
    // AWS wants either; older servers know only the MD5.
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

  /// The keys of which the answer says nothing.
  private func unnamed(in tree: XMLTree, _ response: S3Response) -> [S3Error] {
    // As bytes: NFC and NFD of one name are two keys.
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
