import FoundationEssentials
import HTTPTransport
import SigV4

/// AWS STS, which returns temporary credentials for a role (STS API Reference, AssumeRole and
/// AssumeRoleWithWebIdentity).
struct SecurityTokenService: Sendable {
  /// STS is farther away than a metadata service and may have to ask an identity provider.
  private static let deadlineSeconds = 20

  struct Role: Sendable {
    var arn: String
    var sessionName: String
    var externalID: String?
    var durationSeconds: String?
  }

  private let endpoint: EndpointURL
  private let region: String
  private let client: any HTTPClient
  private let now: @Sendable () -> Date

  init(endpoint: EndpointURL, region: String, client: any HTTPClient, now: @escaping @Sendable () -> Date) {
    self.endpoint = endpoint
    self.region = region
    self.client = client
    self.now = now
  }

  /// STS's codes for a caller whose own credentials have expired or no longer exist (STS API Reference,
  /// "Common Errors").
  private static let refusalsOfCaller = ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"]

  /// Returns credentials for the role, requested with the credentials of another source. If STS refuses
  /// those, the source is asked for a renewal.
  func assume(_ role: Role, as source: any CredentialsProvider) async throws -> AWSCredentials {
    let caller = try await source.credentials()
    do {
      return try await assume(role, as: caller)
    } catch let refusal as CredentialsError {
      guard let code = refusal.code, Self.refusalsOfCaller.contains(code) else { throw refusal }
      let renewed = try await source.credentials(after: caller)
      guard renewed != caller else { throw refusal }
      return try await assume(role, as: renewed)
    }
  }

  private func assume(_ role: Role, as caller: AWSCredentials) async throws -> AWSCredentials {
    var parameters = [("Action", "AssumeRole")] + form(of: role)
    if let externalID = role.externalID { parameters.append(("ExternalId", externalID)) }
    return try await send(parameters, role: role, signedBy: caller)
  }

  /// Returns credentials for the role, requested with the token of an identity provider. The token is the
  /// proof, so the request is not signed.
  func assume(_ role: Role, withTokenFile path: String) async throws -> AWSCredentials {
    let token = try readToken(path, source: source(role))
    let parameters = [("Action", "AssumeRoleWithWebIdentity"), ("WebIdentityToken", token)] + form(of: role)
    return try await send(parameters, role: role, signedBy: nil)
  }

  private func form(of role: Role) -> [(name: String, value: String)] {
    var parameters = [
      (name: "Version", value: "2011-06-15"), ("RoleArn", role.arn), ("RoleSessionName", role.sessionName),
    ]
    if let seconds = role.durationSeconds { parameters.append(("DurationSeconds", seconds)) }
    return parameters
  }

  private func send(
    _ parameters: [(name: String, value: String)], role: Role, signedBy caller: AWSCredentials?
  ) async throws -> AWSCredentials {
    let body = Array(canonicalQuery(parameters).utf8)
    var request = HTTPRequest(
      method: .post, url: endpoint.description + "/",
      headers: ["Content-Type": "application/x-www-form-urlencoded; charset=utf-8"], body: BytesBody(body))
    if let caller {
      let input = SigningInput(
        method: "POST", host: endpoint.authority, path: endpoint.path + "/",
        headers: request.headers.fields.map { ($0.name, $0.value) },
        payload: .sha256(of: body))
      let time = SigningTime(secondsSince1970: Int64(now().timeIntervalSince1970.rounded(.down)))
      for field in RequestSigner(region: region, service: "sts").headers(
        for: input, credentials: caller, at: time)
      {
        request.headers[field.name] = field.value
      }
    }
    let metadata = MetadataClient(client: client, source: source(role))
    let response = try await metadata.send(request, deadlineSeconds: Self.deadlineSeconds)
    return try credentials(from: response, role: role)
  }

  private func credentials(from response: HTTPResponse, role: Role) throws -> AWSCredentials {
    let text = String(decoding: response.body, as: UTF8.self)
    guard response.status == 200 else {
      let code = element("Code", in: text)
      let reason = [code, element("Message", in: text)].compactMap { $0 }
      throw CredentialsError(
        source: source(role), cause: "HTTP status \(response.status) \(reason.joined(separator: ": "))",
        remedy: "Check the role's name and who may assume it.", code: code)
    }
    guard let key = element("AccessKeyId", in: text), let secret = element("SecretAccessKey", in: text),
      let token = element("SessionToken", in: text), let expiration = element("Expiration", in: text),
      let end = date(iso8601: expiration)
    else {
      throw CredentialsError(
        source: source(role), cause: "the answer has no complete credentials", remedy: "Is this endpoint STS?"
      )
    }
    return AWSCredentials(accessKeyID: key, secretAccessKey: secret, sessionToken: token, expiration: end)
  }

  /// The text of the first element of this name. STS's answers are flat, and only messages in them are
  /// escaped; messages are shown unchanged.
  private func element(_ name: String, in text: String) -> String? {
    guard let open = text.firstRange(of: "<\(name)>"),
      let close = text[open.upperBound...].firstRange(of: "</\(name)>")
    else { return nil }
    return String(text[open.upperBound..<close.lowerBound])
  }

  private func source(_ role: Role) -> String { "role \(role.arn) by STS" }
}
