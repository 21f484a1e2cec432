import Digests
import HTTPTransport

/// Makes one object of the parts, which publishes it.
///
/// If the answer to the first attempt is lost, the second attempt may get NoSuchUpload although the object
/// exists. The caller has to check this with a HeadObject that compares size and checksum, because this
/// module cannot distinguish it from an abort.
package struct CompleteMultipartUpload: S3Operation {
  package static let name = "CompleteMultipartUpload"

  package struct Part: Sendable, Hashable {
    package var number: Int
    package var etag: String
    package var checksumCRC32: CRC32?

    package init(number: Int, etag: String, checksumCRC32: CRC32? = nil) {
      self.number = number
      self.etag = etag
      self.checksumCRC32 = checksumCRC32
    }
  }

  package var objectKey: String
  package var uploadID: String
  /// In ascending order of numbers.
  package var parts: [Part]
  /// The CRC-32 of all bytes. Only for an upload that was created with `.fullObjectCRC32`.
  package var fullObjectCRC32: CRC32?
  /// Sent as `x-amz-mp-object-size`. S3 refuses the completion if the sum of the parts differs.
  package var byteCount: Int64?
  package var condition: WriteCondition?

  package init(
    key: String, uploadID: String, parts: [Part], fullObjectCRC32: CRC32? = nil, byteCount: Int64? = nil,
    condition: WriteCondition? = nil
  ) {
    self.objectKey = key
    self.uploadID = uploadID
    self.parts = parts
    self.fullObjectCRC32 = fullObjectCRC32
    self.byteCount = byteCount
    self.condition = condition
  }

  package struct Output: Sendable {
    package var etag: String
    package var versionID: String?
    package var requestID: String?
    /// Whether the server returned the full object's checksum that was sent.
    package var checksumWasEchoed: Bool
    /// The server's clock: nanoseconds since 1970-01-01 UTC.
    package var serverDate: Int64?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var document = RequestDocument(root: "CompleteMultipartUpload")
    for part in parts {
      document.open("Part")
      document.element("PartNumber", String(part.number))
      document.element("ETag", ETag.quoted(part.etag))
      if let checksum = part.checksumCRC32 { document.element("ChecksumCRC32", checksum.base64) }
      document.close("Part")
    }
    document.close("CompleteMultipartUpload")
    var headers: HTTPHeaders = ["Content-Type": "application/xml"]
    if let fullObjectCRC32 {
      headers["x-amz-checksum-crc32"] = fullObjectCRC32.base64
      headers["x-amz-checksum-type"] = ChecksumType.fullObject.rawValue
    }
    headers["x-amz-mp-object-size"] = byteCount.map(String.init)
    condition?.add(to: &headers)
    return S3Request(
      method: .post, key: objectKey, query: [("uploadId", uploadID)], headers: headers,
      body: BytesBody(document.bytes), silenceSeconds: S3Request.patience(forBytes: byteCount))
  }

  package func output(from response: S3Response) throws -> Output {
    let tree = try document("CompleteMultipartUploadResult", in: response)
    return Output(
      etag: ETag.bare(try required("ETag", of: tree, in: response)), versionID: response.versionID,
      requestID: response.requestID, checksumWasEchoed: try isEchoed(of: tree, in: response),
      serverDate: response.serverDate)
  }

  /// Whether the answer's body has the same checksum. A server that supports only composite checksums returns
  /// one of those, which does not count.
  private func isEchoed(of tree: XMLTree, in response: S3Response) throws -> Bool {
    guard let sent = fullObjectCRC32, let echo = tree.text(of: "ChecksumCRC32"),
      let answered = CRC32(base64: echo), ChecksumType(tree.text(of: "ChecksumType")) != .composite
    else { return false }
    return answered == sent
  }
}
