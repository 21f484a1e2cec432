import HTTPTransport
@testable import S3Client
import Testing

/// How long a silent server is waited for.
@Suite struct PatienceTests {
  private static let source = CopySource(bucket: "b", key: "s")

  private func seconds(_ byteCount: Int64?) -> [Int?] {
    let range = byteCount.map { 0...max(0, $0 - 1) }
    return [
      CopyObject(key: "k", source: Self.source, byteCount: byteCount).request().lowSpeedSeconds,
      CompleteMultipartUpload(key: "k", uploadID: "u", parts: [], byteCount: byteCount).request()
        .lowSpeedSeconds,
      UploadPartCopy(key: "k", uploadID: "u", number: 1, source: Self.source, range: range).request()
        .lowSpeedSeconds,
    ]
  }

  @Test(arguments: [
    (Int64(0), 60), (1 << 20, 60), (160 << 20, 70), (5 << 30, 380), (9 << 30, 600), (5 << 40, 600),
    (.max, 600),
  ])
  func `a copy or a completion is waited for a minute, and a second for each 16 MiB, up to ten minutes`(
    byteCount: Int64, expected: Int
  ) {
    for seconds in seconds(byteCount) { #expect(abs((seconds ?? 0) - expected) <= 1) }
  }

  @Test func `what is copied without a known size is waited for ten minutes`() {
    #expect(seconds(nil) == [600, 600, 600])
  }

  @Test func `other requests keep to the client's patience`() {
    #expect(PutObject(key: "k", body: BytesBody([])).request().lowSpeedSeconds == nil)
    #expect(CreateMultipartUpload(key: "k").request().lowSpeedSeconds == nil)
  }

  @Test(arguments: [(0, 5), (1 << 20, 6), (64 << 20, 9)])
  func `a body has a second more for each MiB, up to four`(byteCount: Int, expected: Int) {
    let request = UploadPart(
      key: "k", uploadID: "u", number: 1, body: BytesBody([UInt8](repeating: 0, count: byteCount))
    ).request()
    SendAttempt.$current.withValue(1) { #expect(request.patience == expected) }
  }

  /// An answer that is lost costs five seconds, and a server that is slow has a minute in the end.
  @Test func `each further attempt is more patient`() {
    let patience = (1...5).map { attempt in
      SendAttempt.$current.withValue(attempt) {
        [
          S3Request.generalPatience,
          CompleteMultipartUpload(key: "k", uploadID: "u", parts: [], byteCount: 160 << 20).request()
            .lowSpeedSeconds,
        ]
      }
    }
    #expect(patience == [[5, 15], [10, 20], [20, 30], [40, 50], [60, 70]])
  }
}
