import HTTPTransport
import SigV4

/// Where a copy on the server takes its bytes.
package struct CopySource: Sendable {
  package var bucket: String
  package var key: String
  /// Bare. 412 when the source is no longer this version.
  package var ifMatch: String?

  package init(bucket: String, key: String, ifMatch: String? = nil) {
    self.bucket = bucket
    self.key = key
    self.ifMatch = ifMatch
  }

  func add(to headers: inout HTTPHeaders) {
    headers["x-amz-copy-source"] = "/" + uriEncode("\(bucket)/\(key)", as: .path)
    headers["x-amz-copy-source-if-match"] = ifMatch.map(ETag.quoted)
  }
}

/// Copies an object on the server: up to 5 GB, beyond it by UploadPartCopy.
package struct CopyObject: S3Operation {
  package static let name = "CopyObject"

  package enum Metadata: Sendable, Hashable {
    /// The source's, content type included.
    case copied
    case replaced([String: String], contentType: String?)
  }

  package var objectKey: String
  package var source: CopySource
  package var metadata: Metadata
  package var extraHeaders: HTTPHeaders
  /// Of the source, where it is known: the server may take longer over a large one.
  package var byteCount: Int64?

  package init(
    key: String, source: CopySource, metadata: Metadata = .copied, extraHeaders: HTTPHeaders = [:],
    byteCount: Int64? = nil
  ) {
    self.byteCount = byteCount
    self.objectKey = key
    self.source = source
    self.metadata = metadata
    self.extraHeaders = extraHeaders
  }

  package struct Output: Sendable {
    package var etag: String
    /// Nanoseconds since 1970-01-01 UTC.
    package var lastModified: Int64?
    package var versionID: String?
    package var requestID: String?
    /// The server's clock: nanoseconds since 1970-01-01 UTC.
    package var serverDate: Int64?
  }

  package var key: String? { objectKey }

  package func request() -> S3Request {
    var headers = HTTPHeaders()
    source.add(to: &headers)
    switch metadata {
    case .copied: headers["x-amz-metadata-directive"] = "COPY"
    case .replaced(let values, let contentType):
      headers["x-amz-metadata-directive"] = "REPLACE"
      headers["Content-Type"] = contentType
      headers.addMetadata(values)
    }
    headers.add(extraHeaders)
    // Without it, tags that are named are not taken.
    if headers["x-amz-tagging"] != nil { headers["x-amz-tagging-directive"] = "REPLACE" }
    return S3Request(
      method: .put, key: objectKey, headers: headers, silenceSeconds: S3Request.patience(forBytes: byteCount)
    )
  }

  package func output(from response: S3Response) throws -> Output {
    let tree = try document("CopyObjectResult", in: response)
    return Output(
      etag: ETag.bare(try required("ETag", of: tree, in: response)),
      lastModified: tree.text(of: "LastModified").flatMap(S3Date.nanoseconds(iso8601:)),
      versionID: response.versionID, requestID: response.requestID, serverDate: response.serverDate)
  }
}
