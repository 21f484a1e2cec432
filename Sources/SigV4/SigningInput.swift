import Digests

/// The part of a request that its signature covers.
package struct SigningInput: Sendable {
  package var method: String
  /// The value of the `Host` header, with the port if it is not the default of the scheme.
  package var host: String
  /// Begins with `/` and is percent-encoded exactly as it is sent.
  package var path: String
  /// Before encoding. A name alone (`?uploads`) has an empty value.
  package var query: [(name: String, value: String)]
  /// Headers to sign besides `Host` and those that the signer adds. Headers that proxies or the transport
  /// change are left out (`RequestSigner.unsignedFields`).
  package var headers: [(name: String, value: String)]
  package var payload: PayloadHash

  package init(
    method: String, host: String, path: String, query: [(name: String, value: String)] = [],
    headers: [(name: String, value: String)] = [], payload: PayloadHash = .empty
  ) {
    self.method = method
    self.host = host
    self.path = path
    self.query = query
    self.headers = headers
    self.payload = payload
  }
}

/// What the signature covers of the body (S3's `x-amz-content-sha256`).
package enum PayloadHash: Sendable, Hashable {
  /// Lower-case hexadecimal of the body's SHA-256.
  case sha256(String)
  /// The signature does not cover the body; only TLS protects it.
  case unsigned
  /// aws-chunked, unsigned, with a trailer such as a checksum.
  case streamingUnsignedTrailer
  /// aws-chunked, every chunk signed (`ChunkSigner`).
  case streaming
  /// aws-chunked, every chunk and the trailer signed.
  case streamingTrailer

  /// No body: the SHA-256 of zero bytes.
  package static let empty = PayloadHash.sha256(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

  /// The SHA-256 of a body in memory.
  package static func sha256(of body: [UInt8]) -> PayloadHash {
    .sha256(hexadecimal(Digests.sha256(body)))
  }

  /// The value of `x-amz-content-sha256` and the last line of the canonical request.
  package var text: String {
    switch self {
    case .sha256(let hexadecimal): hexadecimal
    case .unsigned: "UNSIGNED-PAYLOAD"
    case .streamingUnsignedTrailer: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    case .streaming: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    case .streamingTrailer: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    }
  }
}

/// A service's deviations from S3's way of signing.
package struct SigningDialect: Sendable, Hashable {
  /// How the path, which is encoded once, is treated.
  package enum PathEncoding: Sendable, Hashable {
    /// S3: signed as it is sent.
    case once
    /// All other services: encoded again.
    case twice
  }

  package enum PathSegments: Sendable, Hashable {
    /// S3: keys may hold `//`, `.` and `..`.
    case kept
    /// RFC 3986 §5.2.4, with doubled slashes merged.
    case normalized
  }

  package enum ContentHash: Sendable, Hashable {
    /// `x-amz-content-sha256` is sent and signed, as S3 requires.
    case sent
    /// The hash is only part of the canonical request.
    case implied
  }

  package enum SessionToken: Sendable, Hashable {
    case signed
    /// A few old services require it to be added after the signature.
    case addedAfterSigning
  }

  package var pathEncoding: PathEncoding
  package var pathSegments: PathSegments
  package var contentHash: ContentHash
  package var sessionToken: SessionToken

  package init(
    pathEncoding: PathEncoding, pathSegments: PathSegments, contentHash: ContentHash,
    sessionToken: SessionToken = .signed
  ) {
    self.pathEncoding = pathEncoding
    self.pathSegments = pathSegments
    self.contentHash = contentHash
    self.sessionToken = sessionToken
  }

  package static let s3 = SigningDialect(pathEncoding: .once, pathSegments: .kept, contentHash: .sent)
  /// All other services, including STS.
  package static let general = SigningDialect(
    pathEncoding: .twice, pathSegments: .normalized, contentHash: .implied)
}
