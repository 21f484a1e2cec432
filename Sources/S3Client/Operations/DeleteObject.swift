import HTTPTransport

/// Deletes one object. It also succeeds if there is none. In a versioned bucket it leaves a delete marker.
package struct DeleteObject: S3Operation {
  package static let name = "DeleteObject"

  package var objectKey: String
  /// Delete only while the object has this ETag; otherwise 412, or 404 if the object is gone.
  package var ifMatch: String?

  package init(key: String, ifMatch: String? = nil) {
    self.objectKey = key
    self.ifMatch = ifMatch
  }

  package struct Output: Sendable {
    package var isDeleteMarker: Bool
    package var versionID: String?
    package var requestID: String?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var headers = HTTPHeaders()
    if let ifMatch { WriteCondition.ifMatch(ifMatch).add(to: &headers) }
    return S3Request(method: .delete, key: objectKey, headers: headers)
  }

  package func output(from response: S3Response) throws -> Output {
    try requireNoPage(in: response)
    return Output(
      isDeleteMarker: response.http.headers["x-amz-delete-marker"] == "true",
      versionID: response.versionID, requestID: response.requestID)
  }
}
