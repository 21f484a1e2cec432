import HTTPTransport
import LoopThread
import SigV4
import SystemPackage

/// The role of an ECS task or an EKS pod, from the endpoint in the environment (SDKs and Tools Reference
/// Guide, "Container credential provider").
struct ContainerCredentials: Sendable {
  static let source = "container endpoint"

  private enum Authorization: Sendable {
    case none
    case token(String)
    /// Read again at every fetch, because EKS replaces the file.
    case file(String)
  }

  private let url: String
  private let authorization: Authorization
  private let metadata: MetadataClient

  /// Nil if the environment has no endpoint.
  ///
  /// - Throws: `ConfigurationError` for an endpoint from which keys must not be requested in plain text.
  init?(environment: [String: String], client: any HTTPClient) throws {
    if let relative = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] {
      guard relative.utf8.first == UInt8(ascii: "/") else {
        throw ConfigurationError(
          subject: "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", cause: "does not begin with a slash",
          remedy: "It is a path at 169.254.170.2; a whole URL stands in AWS_CONTAINER_CREDENTIALS_FULL_URI.")
      }
      url = "http://169.254.170.2" + relative
    } else if let full = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
      try Self.checkHost(of: full)
      url = full
    } else {
      return nil
    }
    if let file = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] {
      authorization = .file(file)
    } else if let token = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] {
      authorization = .token(token)
    } else {
      authorization = .none
    }
    metadata = MetadataClient(client: client, source: Self.source)
  }

  /// Plain http is allowed only to loopback and to the addresses of ECS and EKS. Elsewhere others could read
  /// the keys in transit.
  private static func checkHost(of url: String) throws {
    let variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    let scheme = url.firstRange(of: "://")
    let pathStart = scheme.flatMap { url[$0.upperBound...].firstIndex { "/?#".contains($0) } }
    let endpoint = try EndpointURL(String(url[..<(pathStart ?? url.endIndex)]), source: variable)
    let allowed = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]
    guard endpoint.scheme == .https || endpoint.isLoopback || allowed.contains(endpoint.host) else {
      throw ConfigurationError(
        subject: variable, cause: "plain http to \(endpoint.host) would show the keys",
        remedy: "Use https, a loopback address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23].")
    }
  }

  func credentials() async throws -> AWSCredentials {
    var request = HTTPRequest(method: .get, url: url, headers: ["Accept": "application/json"])
    if let token = try token() { request.headers["Authorization"] = token }
    let response = try await metadata.send(request)
    guard response.status == 200 else {
      throw CredentialsError(
        source: Self.source, cause: "HTTP status \(response.status)",
        remedy: "Check the task's or pod's role.")
    }
    return try CredentialsDocument.credentials(from: response.body, source: Self.source)
  }

  private func token() throws -> String? {
    let text: String
    switch authorization {
    case .none: return nil
    case .token(let token): text = token
    case .file(let path): text = try readToken(path, source: Self.source)
    }
    guard !text.utf8.contains(where: { $0 < 0x20 }) else {
      throw CredentialsError(
        source: Self.source, cause: "the authorization token holds control characters",
        remedy: "It must be one line, because it is sent in a header field.")
    }
    return text
  }
}

/// The token in a file, without the line break that editors add.
func readToken(_ path: String, source: String) throws -> String {
  do {
    let bytes = try FileDescriptor.contents(ofFileAt: path)[...].trimmed
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Errno.illegalByteSequence }
    return text
  } catch {
    throw CredentialsError(
      source: source, cause: "the token file \(path) cannot be read (\(error))",
      remedy: "Check that the file exists, is text, and can be read by this user.")
  }
}
