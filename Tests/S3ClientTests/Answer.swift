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
  return String(decoding: try body.bytes(from: 0, limit: Int(body.byteCount)), as: UTF8.self)
}
