import HTTPTransport

/// Reads an object or a range of it, into memory (for small ones) or into a sink.
///
/// A retry repeats the whole request. The sink's `begin` then means that the body starts again, whatever the
/// sink has received before.
package struct GetObject: S3Operation {
  package static let name = "GetObject"

  package var objectKey: String
  package var range: ClosedRange<Int64>?
  /// Without quotes. Ties every range of a download to one version of the object: 412 once the object was
  /// replaced.
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
    /// The range of the body; nil for a whole object.
    package var contentRange: ContentRange?
    /// Empty if a sink received the body.
    package var body: [UInt8]
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var request = S3Request(method: .get, key: objectKey)
    request.headers["x-amz-checksum-mode"] = "ENABLED"
    request.headers["If-Match"] = ifMatch.map(ETag.quoted)
    request.sink = sink.map { HeadChecked(sink: $0, operation: self) }
    if let range { request.headers["Range"] = "bytes=\(range.lowerBound)-\(range.upperBound)" }
    return request
  }

  package func output(from response: S3Response) throws -> Output {
    try check(response)
    let headers = response.http.headers
    let body = response.http.body
    if sink == nil, headers["Content-Length"].flatMap(Int64.init) != Int64(body.count) {
      throw S3Error.malformed(
        response, operation: Self.name, "a body of \(body.count) bytes under another length")
    }
    return Output(
      head: ObjectHead(headers), contentRange: ContentRange(headers["Content-Range"]), body: body)
  }

  /// Checks that the head belongs to the requested content. This happens before the first byte is taken, so
  /// that bytes of another version, or of the whole object in place of a range, do not reach the file.
  fileprivate func check(_ response: S3Response) throws {
    let head = response.http
    if let range { try check(head, against: range, response) }
    if let fault = ObjectHead.fault(in: head, range: range) {
      throw S3Error.malformed(response, operation: Self.name, fault)
    }
    // Some servers (rclone) ignore If-Match.
    let etag = ETag.bare(head.headers["ETag"] ?? "")
    if let ifMatch, ETag.bare(ifMatch) != etag {
      throw S3Error(
        operation: Self.name, bucket: response.bucket, key: objectKey, status: 412,
        code: "PreconditionFailed",
        message: "asked for the version with ETag \(ifMatch), the server sent \(etag)",
        requestID: response.requestID)
    }
  }

  /// A server may ignore `Range` and send the whole object (RFC 9110 §14.2). The range may end earlier than
  /// requested, at the object's end.
  private func check(_ head: HTTPResponse, against range: ClosedRange<Int64>, _ response: S3Response) throws {
    if head.status == 206, let answered = ContentRange(head.headers["Content-Range"]),
      let total = answered.total, total > range.lowerBound, answered.bytes.lowerBound == range.lowerBound,
      answered.bytes.upperBound == min(range.upperBound, total - 1)
    {
      return
    }
    throw S3Error(
      operation: Self.name, bucket: response.bucket, key: objectKey, status: head.status,
      code: S3ErrorTriage.rangeIgnored,
      message: "asked for bytes \(range.lowerBound)-\(range.upperBound), the server sent "
        + (head.headers["Content-Range"] ?? "the whole object"),
      requestID: response.requestID,
      isRetryable: S3ErrorTriage.isRetryable(
        status: head.status, code: S3ErrorTriage.rangeIgnored, operation: Self.name))
  }
}

/// Passes only the requested bytes to the sink.
private struct HeadChecked: ResponseSink {
  var sink: any ResponseSink
  var operation: GetObject

  func begin(_ head: HTTPResponse) throws {
    // The store adds the bucket.
    try operation.check(S3Response(bucket: "", key: operation.objectKey, http: head))
    try sink.begin(head)
  }

  func receive(_ bytes: UnsafeRawBufferPointer) throws { try sink.receive(bytes) }
}
