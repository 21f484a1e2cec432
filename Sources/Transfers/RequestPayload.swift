import S3Client

/// The bytes of content that a request carries.
package enum RequestPayload: Sendable, Hashable {
  case sent(Int64)
  /// The bytes of a range; nil for a whole object, whose size the answer holds.
  case fetched(Int64?)

  /// Nil for a request without a payload.
  package init?(of operation: some S3Operation) {
    switch operation {
    case let put as PutObject: self = .sent(put.body.byteCount)
    case let part as UploadPart: self = .sent(part.contentByteCount)
    case let get as GetObject: self = .fetched(get.range.map { $0.upperBound - $0.lowerBound + 1 })
    default: return nil
    }
  }

  /// The bytes, once the request is answered.
  package func byteCount(answeredBy output: some Sendable) -> Int64 {
    switch self {
    case .sent(let bytes): bytes
    case .fetched(let bytes): bytes ?? (output as? GetObject.Output)?.head.byteCount ?? 0
    }
  }
}
