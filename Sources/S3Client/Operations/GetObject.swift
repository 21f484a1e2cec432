import HTTPTransport

/// Reads an object or a range of it, into memory (small ones) or into a sink.
///
/// A retry sends the whole request again: the sink's `begin` then means "from the start", whatever it has received before.
package struct GetObject: S3Operation {
  package static let name = "GetObject"

  package var objectKey: String
  package var range: ClosedRange<Int64>?
  /// Bare. Pins every range of a download to one version of the object: 412 once it was replaced.
  package var ifMatch: String?
  package var sink: (any ResponseSink)?

  package init(
    key: String, range: ClosedRange<Int64>? = nil, ifMatch: String? = nil, sink: (any ResponseSink)? = nil
  ) {
    self.objectKey = key
    self.range = range
    self.ifMatch = ifMatch
    self.sink = sink
  }

  package struct Output: Sendable {
    package var head: ObjectHead
    /// What the body is a part of; nil when it is the whole object.
    package var contentRange: ContentRange?
    /// Empty when a sink took it.
    package var body: [UInt8]
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var request = S3Request(method: .get, key: objectKey)
    request.headers["x-amz-checksum-mode"] = "ENABLED"
    request.headers["If-Match"] = ifMatch.map(ETag.quoted)
    request.sink = sink
    if let range {
      request.headers["Range"] = "bytes=\(range.lowerBound)-\(range.upperBound)"
      request.sink = sink.map { RangeChecked(sink: $0, range: range, operation: self) }
    }
    return request
  }

  package func output(from response: S3Response) throws -> Output {
    let headers = response.http.headers
    if let range { try Self.check(response.http, against: range, bucket: response.bucket, key: objectKey) }
    return Output(
      head: ObjectHead(headers), contentRange: ContentRange(headers["Content-Range"]),
      body: response.http.body)
  }

  /// A server may ignore `Range` and send everything (RFC 9110 §14.2); those bytes must not land at the range's offset. The end may be
  /// earlier than asked: the object's own.
  fileprivate static func check(
    _ response: HTTPResponse, against range: ClosedRange<Int64>, bucket: String, key: String
  ) throws {
    let answered = ContentRange(response.headers["Content-Range"])
    if response.status == 206, let answered, answered.bytes.lowerBound == range.lowerBound,
      answered.bytes.upperBound <= range.upperBound
    {
      return
    }
    throw S3Error(
      operation: name, bucket: bucket, key: key, status: response.status, code: "RangeIgnored",
      message: "asked for bytes \(range.lowerBound)-\(range.upperBound), the server sent "
        + (response.headers["Content-Range"] ?? "the whole object"),
      requestID: response.headers["x-amz-request-id"])
  }
}

/// Lets only the bytes that were asked for reach the sink.
private struct RangeChecked: ResponseSink {
  var sink: any ResponseSink
  var range: ClosedRange<Int64>
  var operation: GetObject

  func begin(_ head: HTTPResponse) throws {
    try GetObject.check(head, against: range, bucket: "", key: operation.objectKey)
    try sink.begin(head)
  }

  func receive(_ bytes: UnsafeRawBufferPointer) throws { try sink.receive(bytes) }
}
