import Digests
import HTTPTransport

/// Writes an object in one request: up to 5 GB (AWS, "Amazon S3 multipart upload limits").
package struct PutObject: S3Operation {
  package static let name = "PutObject"

  package var objectKey: String
  package var body: any RequestBody
  package var contentType: String?
  /// User metadata by name, without `x-amz-meta-`.
  package var metadata: [String: String]
  /// Of the whole body. The server refuses other bytes with BadDigest.
  package var checksumCRC32: CRC32?
  /// Lower-case hexadecimal, where it is known.
  package var payloadSHA256: String?
  package var condition: WriteCondition?
  /// Storage class, encryption, ACL, tags and the like; they replace fields of the same name.
  package var extraHeaders: HTTPHeaders

  package init(
    key: String, body: any RequestBody, contentType: String? = nil, metadata: [String: String] = [:],
    checksumCRC32: CRC32? = nil, payloadSHA256: String? = nil, condition: WriteCondition? = nil,
    extraHeaders: HTTPHeaders = [:]
  ) {
    self.objectKey = key
    self.body = body
    self.contentType = contentType
    self.metadata = metadata
    self.checksumCRC32 = checksumCRC32
    self.payloadSHA256 = payloadSHA256
    self.condition = condition
    self.extraHeaders = extraHeaders
  }

  package struct Output: Sendable {
    /// Bare; the MD5 of the body unless the object is encrypted with SSE-KMS or SSE-C.
    package var etag: String
    package var versionID: String?
    package var requestID: String?
    /// Whether the server compared the checksum that was sent.
    package var checksumWasEchoed: Bool
    /// The server's clock: nanoseconds since 1970-01-01 UTC.
    package var serverDate: Int64?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var headers = HTTPHeaders()
    headers["Content-Type"] = contentType
    headers["x-amz-checksum-crc32"] = checksumCRC32?.base64
    headers.addMetadata(metadata)
    condition?.add(to: &headers)
    headers.add(extraHeaders)
    return S3Request(
      method: .put, key: objectKey, headers: headers, body: body, payloadSHA256: payloadSHA256)
  }

  package func output(from response: S3Response) throws -> Output {
    try requireNoPage(in: response)
    return Output(
      etag: try requiredETag(in: response), versionID: response.versionID, requestID: response.requestID,
      checksumWasEchoed: try isEchoed(checksumCRC32, in: response), serverDate: response.serverDate)
  }
}
