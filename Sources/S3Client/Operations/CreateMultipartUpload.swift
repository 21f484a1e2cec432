import HTTPTransport

/// Begins a multipart upload. Its parts are billed until it is completed or aborted.
package struct CreateMultipartUpload: S3Operation {
  package static let name = "CreateMultipartUpload"

  package enum Checksum: Sendable, Hashable {
    case none
    /// A CRC-32 of each part, and one of all bytes at the end, which HeadObject returns later.
    case fullObjectCRC32
  }

  package var objectKey: String
  package var contentType: String?
  package var metadata: [String: String]
  package var checksum: Checksum
  package var extraHeaders: HTTPHeaders

  package init(
    key: String, contentType: String? = nil, metadata: [String: String] = [:],
    checksum: Checksum = .none, extraHeaders: HTTPHeaders = [:]
  ) {
    self.objectKey = key
    self.contentType = contentType
    self.metadata = metadata
    self.checksum = checksum
    self.extraHeaders = extraHeaders
  }

  package struct Output: Sendable {
    package var uploadID: String
    /// Whether the server returned the requested algorithm. A server that does not may not support it.
    package var knowsChecksum: Bool
    package var requestID: String?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var headers = HTTPHeaders()
    headers["Content-Type"] = contentType
    headers.addMetadata(metadata)
    if checksum == .fullObjectCRC32 {
      headers["x-amz-checksum-algorithm"] = "CRC32"
      headers["x-amz-checksum-type"] = ChecksumType.fullObject.rawValue
    }
    headers.add(extraHeaders)
    return S3Request(method: .post, key: objectKey, query: [("uploads", nil)], headers: headers)
  }

  package func output(from response: S3Response) throws -> Output {
    let tree = try document("InitiateMultipartUploadResult", in: response)
    return Output(
      uploadID: try required("UploadId", of: tree, in: response),
      knowsChecksum: response.http.headers["x-amz-checksum-algorithm"]?.uppercased() == "CRC32",
      requestID: response.requestID)
  }
}
