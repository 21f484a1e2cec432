import HTTPTransport
import S3Client

/// An answer as a server might send it.
func answer(
  _ body: String = "", status: Int = 200, headers: HTTPHeaders = [:], key: String? = nil
) -> S3Response {
  S3Response(
    bucket: "b", key: key, http: HTTPResponse(status: status, headers: headers, body: Array(body.utf8)))
}

/// The text of a body that is in memory.
func text(of body: (any RequestBody)?) throws -> String {
  guard let body else { return "" }
  var bytes = [UInt8](repeating: 0, count: Int(body.byteCount))
  let count = try bytes.withUnsafeMutableBytes { try body.copyBytes(from: 0, into: $0) }
  return String(decoding: bytes.prefix(count), as: UTF8.self)
}
