import Digests
import HTTPTransport

/// Writes an object of up to 5 GB in one request (AWS, "Amazon S3 multipart upload limits").
package struct PutObject: S3Operation {
  package static let name = "PutObject"

  package var objectKey: String
  package var body: any RequestBody
  package var contentType: String?
  /// User metadata by name, without `x-amz-meta-`.
  package var metadata: [String: String]
  /// The CRC-32 of the whole body. The server refuses other bytes with BadDigest.
  package var checksumCRC32: CRC32?
  /// In lower-case hexadecimal, if it is known.
  package var payloadSHA256: String?
  package var condition: WriteCondition?
  /// Storage class, encryption, ACL, tags and other headers. They replace headers of the same name.
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
    /// Without quotes. It is the MD5 of the body unless the object is encrypted with SSE-KMS or SSE-C.
    package var etag: String
    package var versionID: String?
    package var requestID: String?
    /// Whether the server returned the sent checksum, which shows that it compared the bytes.
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
