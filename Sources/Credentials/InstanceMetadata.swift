import HTTPTransport
import SigV4

/// The role of this EC2 instance, through IMDSv2 (EC2 User Guide, "Use the Instance Metadata Service").
///
/// IMDSv1, which has no session token, is not supported, because request forgery exploits it.
struct InstanceMetadata: Sendable {
  static let source = "instance metadata (IMDSv2)"
  /// 6 hours, the limit of IMDS.
  private static let tokenSeconds = "21600"
  private static let rolePath = "/latest/meta-data/iam/security-credentials/"

  private let endpoint: String
  private let metadata: MetadataClient

  /// - Parameter endpoint: `http://169.254.169.254`, or the value of `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
  init(endpoint: String, client: any HTTPClient) {
    self.endpoint = endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint
    metadata = MetadataClient(client: client, source: Self.source)
  }

  func credentials() async throws -> AWSCredentials {
    let tokenRequest = HTTPRequest(
      method: .put, url: endpoint + "/latest/api/token",
      headers: ["x-aws-ec2-metadata-token-ttl-seconds": Self.tokenSeconds])
    let token = try await text(tokenRequest, of: "a session token")
    let headers: HTTPHeaders = ["x-aws-ec2-metadata-token": token]
    let roles = try await text(
      HTTPRequest(method: .get, url: endpoint + Self.rolePath, headers: headers), of: "the instance's role")
    let role = String(roles.prefix { !$0.isNewline })
    let answer = try await body(
      HTTPRequest(
        method: .get, url: endpoint + Self.rolePath + uriEncode(role, as: .query), headers: headers),
      of: "credentials")
    return try CredentialsDocument.credentials(from: answer, source: Self.source)
  }

  private func text(_ request: HTTPRequest, of subject: String) async throws -> String {
    let text = String(decoding: try await body(request, of: subject), as: UTF8.self)
    guard !text.isEmpty else { throw fault("the answer for \(subject) is empty") }
    return text
  }

  private func body(_ request: HTTPRequest, of subject: String) async throws -> [UInt8] {
    let response = try await metadata.send(request)
    guard response.status == 200 else { throw fault("HTTP status \(response.status) for \(subject)") }
    return response.body
  }

  private func fault(_ cause: String) -> CredentialsError {
    CredentialsError(
      source: Self.source, cause: cause,
      remedy:
        "Attach a role to the instance, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or "
        + "anonymous access. In a container the hop limit must be 2.")
  }
}
