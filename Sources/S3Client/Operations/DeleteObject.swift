/// Removes one object; a success also when there was none. On a versioned bucket it leaves a delete marker.
package struct DeleteObject: S3Operation {
  package static let name = "DeleteObject"

  package var objectKey: String

  package init(key: String) {
    self.objectKey = key
  }

  package struct Output: Sendable {
    package var isDeleteMarker: Bool
    package var versionID: String?
    package var requestID: String?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request { S3Request(method: .delete, key: objectKey) }

  package func output(from response: S3Response) -> Output {
    Output(
      isDeleteMarker: response.http.headers["x-amz-delete-marker"] == "true",
      versionID: response.versionID, requestID: response.requestID)
  }
}
