/// Aborts a multipart upload and frees its parts. NoSuchUpload (404) means that the upload is already
/// completed or aborted, perhaps by an earlier attempt whose answer was lost.
package struct AbortMultipartUpload: S3Operation {
  package static let name = "AbortMultipartUpload"

  package var objectKey: String
  package var uploadID: String

  package init(key: String, uploadID: String) {
    self.objectKey = key
    self.uploadID = uploadID
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    S3Request(method: .delete, key: objectKey, query: [("uploadId", uploadID)])
  }

  package func output(from response: S3Response) throws { try requireNoPage(in: response) }
}
