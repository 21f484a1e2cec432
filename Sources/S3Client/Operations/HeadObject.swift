/// Asks for an object's properties. Its errors have no body, so that their codes are only the status's: `NotFound`, `Forbidden`.
package struct HeadObject: S3Operation {
  package static let name = "HeadObject"

  package var objectKey: String
  package var ifMatch: String?
  /// Asks for one part of a multipart object; a server that does not know parts answers for the whole.
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
    // Without it S3 keeps the checksum to itself.
    request.headers["x-amz-checksum-mode"] = "ENABLED"
    request.headers["If-Match"] = ifMatch.map(ETag.quoted)
    return request
  }

  package func output(from response: S3Response) throws -> ObjectHead {
    // A part is answered as a range is: 206, and a Content-Range (AWS, "HeadObject", partNumber).
    if let fault = ObjectHead.fault(in: response.http, range: partNumber.map { _ in 0...0 }) {
      throw S3Error.malformed(response, operation: Self.name, fault)
    }
    return ObjectHead(response.http.headers)
  }
}
