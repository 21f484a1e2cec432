import Digests

/// Signs the chunks of an aws-chunked body. Each signature includes the one before (S3 API Reference,
/// "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks").
package struct ChunkSigner: Sendable {
  private let key: HMACKey
  private let scope: String
  private let timestamp: String
  private var previous: String

  init(key: HMACKey, scope: String, timestamp: String, seed: String) {
    self.key = key
    self.scope = scope
    self.timestamp = timestamp
    previous = seed
  }

  /// The signature of the next chunk. The last chunk is empty and is signed too.
  package mutating func sign(chunk: [UInt8]) -> String {
    sign(
      algorithm: "AWS4-HMAC-SHA256-PAYLOAD",
      hashes: [hexadecimal(sha256([] as [UInt8])), hexadecimal(sha256(chunk))])
  }

  /// The signature of the trailing headers, sent as `x-amz-trailer-signature` after the last chunk.
  package mutating func sign(trailer: [(name: String, value: String)]) -> String {
    let lines = trailer.map { CanonicalRequest.lowercased($0.name) + ":" + $0.value + "\n" }.joined()
    return sign(algorithm: "AWS4-HMAC-SHA256-TRAILER", hashes: [hexadecimal(sha256(lines))])
  }

  private mutating func sign(algorithm: String, hashes: [String]) -> String {
    let stringToSign = ([algorithm, timestamp, scope, previous] + hashes).joined(separator: "\n")
    previous = hexadecimal(key.code(of: stringToSign))
    return previous
  }
}

extension ChunkSigner: CustomReflectable {
  /// Keeps the signing key out of dumps.
  package var customMirror: Mirror { Mirror(self, children: ["scope": scope]) }
}
