import HTTPTransport
import SigV4

/// The source of a server-side copy.
package struct CopySource: Sendable {
  package var bucket: String
  package var key: String
  /// Without quotes. 412 if the source no longer has this version.
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

/// Copies an object on the server, up to 5 GB. Larger objects need UploadPartCopy.
package struct CopyObject: S3Operation {
  package static let name = "CopyObject"

  package enum Metadata: Sendable, Hashable {
    /// The metadata of the source, including the content type.
    case copied
    case replaced([String: String], contentType: String?)
  }

  package var objectKey: String
  package var source: CopySource
  package var metadata: Metadata
  package var extraHeaders: HTTPHeaders
  /// The size of the source, if it is known. The server may need longer for a large object.
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
    // Without this header, S3 ignores the given tags.
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
