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

  package func output(from response: S3Response) -> Output {
    Output(region: response.http.headers["x-amz-bucket-region"], serverDate: response.serverDate)
  }
}
