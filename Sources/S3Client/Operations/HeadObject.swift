/// Reads an object's properties. Errors have no body, so their codes come from the status only: `NotFound`,
/// `Forbidden`.
package struct HeadObject: S3Operation {
  package static let name = "HeadObject"

  package var objectKey: String
  package var ifMatch: String?
  /// Requests one part of a multipart object. A server that does not support parts answers for the whole
  /// object.
  package var partNumber: Int?

  package init(key: String, ifMatch: String? = nil, partNumber: Int? = nil) {
    self.objectKey = key
    self.ifMatch = ifMatch
    self.partNumber = partNumber
  }

  package typealias Output = ObjectHead

  package var key: String? { objectKey }

  package func request() -> S3Request {
    let query = partNumber.map { [(name: "partNumber", value: Optional(String($0)))] } ?? []
    var request = S3Request(method: .head, key: objectKey, query: query)
    // S3 returns the checksum only with this header.
    request.headers["x-amz-checksum-mode"] = "ENABLED"
    request.headers["If-Match"] = ifMatch.map(ETag.quoted)
    return request
  }

  package func output(from response: S3Response) throws -> ObjectHead {
    // The answer for a part has the form of a range: 206 and a Content-Range (AWS, "HeadObject", partNumber).
    if let fault = ObjectHead.fault(in: response.http, range: partNumber.map { _ in 0...0 }) {
      throw S3Error.malformed(response, operation: Self.name, fault)
    }
    return ObjectHead(response.http.headers)
  }
}
