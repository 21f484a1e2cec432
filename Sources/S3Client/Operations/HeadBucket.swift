/// Asks whether the bucket is there and may be used. No body comes with an error: 404 is absence, 403 refusal.
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

  /// - Throws: a retryable `S3Error` for the head of a page. A type alone proves nothing: OpenStack Swift names HTML with every
  ///   answer that has no body.
  package func output(from response: S3Response) throws -> Output {
    let headers = response.http.headers
    let isHTML = headers["Content-Type"]?.lowercased().hasPrefix("text/html") == true
    if isHTML, headers["Content-Length"].flatMap(Int64.init) ?? 0 > 0 {
      throw S3Error.malformed(response, operation: Self.name, "the head of a page, not of a bucket")
    }
    return Output(region: headers["x-amz-bucket-region"], serverDate: response.serverDate)
  }
}
