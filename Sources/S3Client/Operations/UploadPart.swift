import Digests
import HTTPTransport

/// Sends one part: 5 MiB to 5 GiB, the last part any size; numbers 1 to 10,000. A second part with the same
/// number replaces the first.
package struct UploadPart: S3Operation {
  package static let name = "UploadPart"

  package var objectKey: String
  package var uploadID: String
  package var number: Int
  /// A `TrailedBody` brings its checksum itself.
  package var body: any RequestBody
  package var checksumCRC32: CRC32?
  package var payloadSHA256: String?

  package init(
    key: String, uploadID: String, number: Int, body: any RequestBody, checksumCRC32: CRC32? = nil,
    payloadSHA256: String? = nil
  ) {
    self.objectKey = key
    self.uploadID = uploadID
    self.number = number
    self.body = body
    self.checksumCRC32 = checksumCRC32
    self.payloadSHA256 = payloadSHA256
  }

  package struct Output: Sendable {
    package var etag: String
    package var requestID: String?
    /// For a `TrailedBody`, whether the server stored the content and compared its checksum.
    package var checksumWasEchoed: Bool
  }

  private var trailed: TrailedBody? { body as? TrailedBody }

  /// Without the frames of a `TrailedBody`.
  package var contentByteCount: Int64 { trailed?.content.byteCount ?? body.byteCount }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var headers = HTTPHeaders()
    headers["x-amz-checksum-crc32"] = checksumCRC32?.base64
    if let trailed {
      headers["Content-Encoding"] = "aws-chunked"
      headers["x-amz-decoded-content-length"] = String(trailed.content.byteCount)
      headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    }
    return S3Request(
      method: .put, key: objectKey, query: [("partNumber", String(number)), ("uploadId", uploadID)],
      headers: headers, body: body, payloadSHA256: payloadSHA256)
  }

  package func output(from response: S3Response) throws -> Output {
    try requireNoPage(in: response)
    return Output(
      etag: try requiredETag(in: response), requestID: response.requestID,
      checksumWasEchoed: try trailed.map { isUnderstood($0, in: response) }
        ?? isEchoed(checksumCRC32, in: response))
  }

  /// A server that does not know trailers may return the checksum of what it stored instead, so another
  /// checksum is no fault here.
  private func isUnderstood(_ body: TrailedBody, in response: S3Response) -> Bool {
    guard let sent = body.checksum, let echo = response.http.headers["x-amz-checksum-crc32"] else {
      return false
    }
    return CRC32(base64: echo) == sent
  }
}
