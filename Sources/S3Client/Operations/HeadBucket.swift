/// Checks whether the bucket exists and may be used. Errors have no body: 404 means that it does not exist,
/// 403 that access is denied.
package struct HeadBucket: S3Operation {
  package static let name = "HeadBucket"

  package init() {}

  package struct Output: Sendable {
    package var region: String?
    /// Nanoseconds since 1970-01-01 UTC.
    package var serverDate: Int64?
  }

  package var key: String? { nil }

  package func request() -> S3Request { S3Request(method: .head) }

  /// - Throws: a retryable `S3Error` if the head is that of a web page. The content type alone proves
  ///   nothing: OpenStack Swift sends HTML as the type of every answer without a body.
  package func output(from response: S3Response) throws -> Output {
    let headers = response.http.headers
    let isHTML = headers["Content-Type"]?.lowercased().hasPrefix("text/html") == true
    if isHTML, headers["Content-Length"].flatMap(Int64.init) ?? 0 > 0 {
      throw S3Error.malformed(response, operation: Self.name, "the head of a page, not of a bucket")
    }
    return Output(region: headers["x-amz-bucket-region"], serverDate: response.serverDate)
  }
}
