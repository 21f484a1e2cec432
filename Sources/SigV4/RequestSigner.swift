// SigV4: AWS Signature Version 4 as pure functions. No clock, no network, no files.
//
//   canonical request   the request in one fixed form (CanonicalRequest)
//   credential scope    the day, region and service for which a signature is valid
//   string to sign      algorithm, time, scope and the canonical request's hash
//   signing key         derived from the secret for one scope; signs strings
//   presigned           said of a request with the signature in its query and not in the Authorization header
//   seed signature      the signature of a streaming request's headers, on which its chunks depend
//                       (ChunkSigner)
//   dialect             a service's deviations from S3's way of signing
//
// The words are AWS's own (General Reference, "Signing AWS API requests"; S3 API Reference, "Authenticating
// Requests (AWS Signature Version 4)").

import Digests

/// Signs requests to one service in one region.
package struct RequestSigner: Sendable {
  package let region: String
  package let service: String
  package let dialect: SigningDialect
  private let keys = SigningKeyCache()

  /// A signer for S3, or for another service in the general dialect.
  package init(region: String, service: String = "s3") {
    self.init(region: region, service: service, dialect: service == "s3" ? .s3 : .general)
  }

  package init(region: String, service: String, dialect: SigningDialect) {
    self.region = region
    self.service = service
    self.dialect = dialect
  }

  /// Headers that are never signed, because the transport or a proxy writes or changes them.
  package static let unsignedFields = [
    "authorization", "connection", "expect", "te", "transfer-encoding", "user-agent", "x-amzn-trace-id",
  ]

  /// The headers to add to the request. `Host` is signed too and must be sent as `request.host`.
  package func headers(
    for request: SigningInput, credentials: AWSCredentials, at time: SigningTime
  ) -> [(name: String, value: String)] {
    let signature = signature(for: request, credentials: credentials, at: time)
    var fields: [(name: String, value: String)] = []
    fields.reserveCapacity(4)
    fields.append(("x-amz-date", time.timestamp))
    if dialect.contentHash == .sent { fields.append(("x-amz-content-sha256", request.payload.text)) }
    if let token = credentials.sessionToken { fields.append(("x-amz-security-token", token)) }
    var authorization: [UInt8] = []
    authorization.reserveCapacity(512)
    authorization.append(text: "AWS4-HMAC-SHA256 Credential=")
    authorization.append(text: credentials.accessKeyID)
    authorization.append(text: "/")
    authorization.append(text: signature.scope)
    authorization.append(text: ", SignedHeaders=")
    authorization.append(text: signature.canonicalRequest.signedHeaders)
    authorization.append(text: ", Signature=")
    authorization.append(text: signature.text)
    fields.append(("Authorization", String(decoding: authorization, as: UTF8.self)))
    return fields
  }

  /// The signature in the result of `headers`, with its intermediate steps.
  package func signature(
    for request: SigningInput, credentials: AWSCredentials, at time: SigningTime
  ) -> RequestSignature {
    var headers = signedFields(of: request)
    headers.append(("x-amz-date", time.timestamp))
    if dialect.contentHash == .sent { headers.append(("x-amz-content-sha256", request.payload.text)) }
    if let token = credentials.sessionToken, dialect.sessionToken == .signed {
      headers.append(("x-amz-security-token", token))
    }
    return sign(
      request, query: canonicalQuery(request.query), headers: headers, credentials: credentials, at: time)
  }

  /// The query of the presigned request, unencoded. The request's own parameters come first, the signature
  /// last.
  ///
  /// For S3, AWS accepts at most 604,800 s (7 days), and the payload is `.unsigned`.
  package func presignedQuery(
    for request: SigningInput, credentials: AWSCredentials, at time: SigningTime, expiresInSeconds: Int
  ) -> [(name: String, value: String)] {
    let signature = presignature(
      for: request, credentials: credentials, at: time, expiresInSeconds: expiresInSeconds)
    var query = presignedParameters(of: request, credentials, time, expiresInSeconds)
    if let token = credentials.sessionToken, dialect.sessionToken == .addedAfterSigning {
      query.append(("X-Amz-Security-Token", token))
    }
    query.append(("X-Amz-Signature", signature.text))
    return query
  }

  /// The signature in the result of `presignedQuery`, with its intermediate steps.
  package func presignature(
    for request: SigningInput, credentials: AWSCredentials, at time: SigningTime, expiresInSeconds: Int
  ) -> RequestSignature {
    let query = presignedParameters(of: request, credentials, time, expiresInSeconds)
    return sign(
      request, query: canonicalQuery(query), headers: signedFields(of: request), credentials: credentials,
      at: time)
  }

  /// The signer of an aws-chunked body whose headers were signed with `.streaming` or `.streamingTrailer`.
  package func chunkSigner(
    seed: RequestSignature, credentials: AWSCredentials, at time: SigningTime
  ) -> ChunkSigner {
    let scope = CredentialScope(date: time.date, region: region, service: service)
    return ChunkSigner(
      key: keys.key(for: scope, secret: credentials.secretAccessKey), scope: scope.text,
      timestamp: time.timestamp, seed: seed.text)
  }
}

/// A signature with its intermediate steps.
package struct RequestSignature: Sendable {
  package let canonicalRequest: CanonicalRequest
  package let stringToSign: String
  package let scope: String
  /// Lower-case hexadecimal, 64 digits.
  package let text: String
}

extension RequestSigner {
  /// The request's own headers and `Host`, without those that are never signed and those that the signer
  /// adds. Otherwise a request that is signed again would have them twice.
  private func signedFields(of request: SigningInput) -> [(name: String, value: String)] {
    var fields: [(name: String, value: String)] = []
    // Host, and up to three headers that the signer adds.
    fields.reserveCapacity(request.headers.count + 4)
    for field in request.headers {
      let name = CanonicalRequest.lowercased(field.name)
      // Most names differ in their length already.
      if !Self.leftOut.contains(where: { $0.utf8.count == name.utf8.count && $0 == name }) {
        fields.append(field)
      }
    }
    fields.append(("host", request.host))
    return fields
  }

  private static let leftOut =
    unsignedFields + ["host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"]

  private func presignedParameters(
    of request: SigningInput, _ credentials: AWSCredentials, _ time: SigningTime, _ expiresInSeconds: Int
  ) -> [(name: String, value: String)] {
    let scope = CredentialScope(date: time.date, region: region, service: service)
    let names = CanonicalRequest(
      method: "", path: "", query: "", headers: signedFields(of: request), payload: .empty, dialect: dialect)
    var query = request.query
    query.append(("X-Amz-Algorithm", "AWS4-HMAC-SHA256"))
    query.append(("X-Amz-Credential", credentials.accessKeyID + "/" + scope.text))
    query.append(("X-Amz-Date", time.timestamp))
    query.append(("X-Amz-SignedHeaders", names.signedHeaders))
    query.append(("X-Amz-Expires", String(expiresInSeconds)))
    if let token = credentials.sessionToken, dialect.sessionToken == .signed {
      query.append(("X-Amz-Security-Token", token))
    }
    return query
  }

  private func sign(
    _ request: SigningInput, query: String, headers: [(name: String, value: String)],
    credentials: AWSCredentials, at time: SigningTime
  ) -> RequestSignature {
    let canonical = CanonicalRequest(
      method: request.method, path: request.path, query: query, headers: headers, payload: request.payload,
      dialect: dialect)
    let scope = CredentialScope(date: time.date, region: region, service: service)
    let scopeText = scope.text
    var lines: [UInt8] = []
    lines.reserveCapacity(256)
    lines.append(text: "AWS4-HMAC-SHA256\n")
    lines.append(text: time.timestamp)
    lines.append(text: "\n")
    lines.append(text: scopeText)
    lines.append(text: "\n")
    lines.append(text: hexadecimal(sha256(canonical.text)))
    let stringToSign = String(decoding: lines, as: UTF8.self)
    let key = keys.key(for: scope, secret: credentials.secretAccessKey)
    return RequestSignature(
      canonicalRequest: canonical, stringToSign: stringToSign, scope: scopeText,
      text: hexadecimal(key.code(of: stringToSign)))
  }
}
