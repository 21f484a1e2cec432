/// Gives up a multipart upload and its parts. NoSuchUpload (404) means that it is completed or aborted already: by an
/// earlier attempt too, whose answer was lost.
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
