/// Asks for an object's properties. Its errors have no body, so that their codes are only the status's: `NotFound`, `Forbidden`.
package struct HeadObject: S3Operation {
  package static let name = "HeadObject"

  package var objectKey: String
  package var ifMatch: String?

  package init(key: String, ifMatch: String? = nil) {
    self.objectKey = key
    self.ifMatch = ifMatch
  }

  package typealias Output = ObjectHead

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var request = S3Request(method: .head, key: objectKey)
    // Without it S3 keeps the checksum to itself.
    request.headers["x-amz-checksum-mode"] = "ENABLED"
    request.headers["If-Match"] = ifMatch.map(ETag.quoted)
    return request
  }

  package func output(from response: S3Response) throws -> ObjectHead {
    if let fault = ObjectHead.fault(in: response.http, range: nil) {
      throw S3Error.malformed(response, operation: Self.name, fault)
    }
    return ObjectHead(response.http.headers)
  }
}
