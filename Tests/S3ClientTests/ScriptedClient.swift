import HTTPTransport
import S3Client
import SigV4

/// An HTTP client that answers from a script and keeps what it was asked.
actor ScriptedClient: HTTPClient {
  enum Step: Sendable {
    case answer(Int, String, HTTPHeaders = [:])
    case failure(TransportError.Kind)
    case badCertificate(CertificateFault)
  }

  private var steps: [Step]
  private(set) var requests: [HTTPRequest] = []

  init(_ steps: [Step]) {
    self.steps = steps
  }

  func send(_ request: HTTPRequest) throws -> HTTPResponse {
    requests.append(request)
    guard !steps.isEmpty else { throw TransportError(.closed, "the script is over") }
    switch steps.removeFirst() {
    case .failure(let kind): throw TransportError(kind, "scripted")
    case .badCertificate(let fault): throw TransportError(.tls, "scripted", certificate: fault)
    case .answer(let status, let body, let headers):
      return HTTPResponse(status: status, headers: headers, body: Array(body.utf8))
    }
  }
}

let exampleCredentials = AWSCredentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: "secret")

extension S3Bucket {
  /// A bucket `b` in us-east-1 whose clock stands at 1,700,000,000 s (2023-11-14T22:13:20Z).
  static func scripted(
    _ client: ScriptedClient, endpoint: S3Endpoint = .aws, payloadSigning: PayloadSigning = .automatic,
    commonHeaders: HTTPHeaders = [:],
    credentials: @escaping CredentialsSource = { exampleCredentials }, renewal: CredentialsRenewal? = nil
  ) -> S3Bucket {
    S3Bucket(
      bucket: "b", endpoint: endpoint, region: "us-east-1", credentials: credentials,
      renewal: renewal, payloadSigning: payloadSigning, commonHeaders: commonHeaders, client: client,
      clock: { 1_700_000_000 })
  }
}
