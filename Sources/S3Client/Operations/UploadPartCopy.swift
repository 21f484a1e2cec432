import HTTPTransport

/// Makes one part of a multipart upload from an object that is already on the server.
package struct UploadPartCopy: S3Operation {
  package static let name = "UploadPartCopy"

  package var objectKey: String
  package var uploadID: String
  package var number: Int
  package var source: CopySource
  package var range: ClosedRange<Int64>?

  package init(
    key: String, uploadID: String, number: Int, source: CopySource, range: ClosedRange<Int64>? = nil
  ) {
    self.objectKey = key
    self.uploadID = uploadID
    self.number = number
    self.source = source
    self.range = range
  }

  package struct Output: Sendable {
    package var etag: String
    /// Base64.
    package var checksumCRC32: String?
    package var requestID: String?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var headers = HTTPHeaders()
    source.add(to: &headers)
    headers["x-amz-copy-source-range"] = range.map { "bytes=\($0.lowerBound)-\($0.upperBound)" }
    return S3Request(
      method: .put, key: objectKey, query: [("partNumber", String(number)), ("uploadId", uploadID)],
      headers: headers,
      silenceSeconds: S3Request.patience(forBytes: range.map { $0.upperBound - $0.lowerBound }))
  }

  package func output(from response: S3Response) throws -> Output {
    let tree = try document("CopyPartResult", in: response)
    return Output(
      etag: ETag.bare(try required("ETag", of: tree, in: response)),
      checksumCRC32: tree.text(of: "ChecksumCRC32"), requestID: response.requestID)
  }
}
