import Foundation
import SigV4
import Testing

/// Requests to S3 with every step to their signature, as botocore and awscrt make them.
struct S3Vectors: Decodable {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var name: String
    var method: String
    var host: String
    var target: String
    var headers: [String: String]
    var x_amz_content_sha256: String
    var session_token: String?
    var canonical_request: String
    var string_to_sign: String
    var signature: String
    var signed_headers: String
    var testDescription: String { name }

    var request: SigningInput {
      SigningInput(
        method: method, host: host, path: String(target.prefix { $0 != "?" }), query: query(of: target),
        headers: headers.map { ($0.key, $0.value) }, payload: payload)
    }

    private var payload: PayloadHash {
      let named: [PayloadHash] = [.unsigned, .streaming, .streamingTrailer, .streamingUnsignedTrailer]
      return named.first { $0.text == x_amz_content_sha256 } ?? .sha256(x_amz_content_sha256)
    }
  }

  var access_key: String
  var secret_key: String
  var region: String
  var timestamp: String
  var cases: [Case]

  static func load() throws -> S3Vectors {
    try JSONDecoder().decode(
      S3Vectors.self,
      from: Data(contentsOf: Bundle.module.bundleURL.appending(path: "Resources/sigv4-s3.json")))
  }
}

@Suite struct S3VectorTests {
  /// 2013-05-24 00:00:00 UTC.
  private let time = SigningTime(secondsSince1970: 1_369_353_600)

  @Test(arguments: try S3Vectors.load().cases)
  func `a request to S3 gives botocore's steps`(vector: S3Vectors.Case) throws {
    let vectors = try S3Vectors.load()
    let credentials = AWSCredentials(
      accessKeyID: vectors.access_key, secretAccessKey: vectors.secret_key, sessionToken: vector.session_token
    )
    let signer = RequestSigner(region: vectors.region)
    #expect(time.timestamp == vectors.timestamp)

    let signature = signer.signature(for: vector.request, credentials: credentials, at: time)
    #expect(signature.canonicalRequest.text == vector.canonical_request)
    #expect(signature.stringToSign == vector.string_to_sign)
    #expect(signature.text == vector.signature)

    let headers = signer.headers(for: vector.request, credentials: credentials, at: time)
    #expect(headers.first { $0.name == "x-amz-content-sha256" }?.value == vector.x_amz_content_sha256)
    let authorization = try #require(headers.first { $0.name == "Authorization" }?.value)
    #expect(authorization.hasSuffix("SignedHeaders=\(vector.signed_headers), Signature=\(vector.signature)"))
  }

  @Test(arguments: try S3Vectors.load().cases)
  func `the canonical query is the query that is sent`(vector: S3Vectors.Case) {
    let sent = vector.target.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
    #expect(canonicalQuery(vector.request.query) == sent)
  }
}
