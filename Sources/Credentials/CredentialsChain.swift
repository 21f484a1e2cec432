import FoundationEssentials
import SigV4

extension ConnectionResolution {
  /// The first configured source, in the order of the AWS CLI: options, environment, the profile's role, web
  /// identity, the profile's keys or program, container endpoint, instance metadata.
  ///
  /// A configured source that fails is an error, because the next source might belong to another identity.
  func credentials() throws -> (provider: any CredentialsProvider, source: String) {
    if overrides.isAnonymous { return (NoCredentials(), "anonymous") }
    if let given = overrides.credentials { return (StaticCredentials(given), "the credentials given") }
    // A profile that the caller names takes precedence over the environment; AWS_PROFILE does not.
    if !isProfileRequested {
      if let found = try environmentCredentials() {
        return (StaticCredentials(found), "environment (AWS_ACCESS_KEY_ID)")
      }
      if profile?["role_arn"] == nil, let found = try environmentRole() { return found }
    }
    if let profile, let found = try credentials(of: profile, visited: []) { return found }
    if let found = try containerProvider() ?? instanceProvider() { return found }
    throw missing()
  }

  func environmentCredentials() throws -> AWSCredentials? {
    switch (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]) {
    case (nil, nil): return nil
    case (let key?, let secret?):
      let token = environment["AWS_SESSION_TOKEN"] ?? environment["AWS_SECURITY_TOKEN"]
      return AWSCredentials(accessKeyID: key, secretAccessKey: secret, sessionToken: token)
    case (_?, nil), (nil, _?):
      throw ConfigurationError(
        subject: "environment",
        cause: "one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set without the other",
        remedy: "Set both or neither.")
    }
  }

  /// The credentials that a profile configures; nil if it configures none.
  func credentials(
    of profile: Profile, visited: [String]
  ) throws -> (provider: any CredentialsProvider, source: String)? {
    if let arn = profile["role_arn"] { return try roleProvider(of: profile, arn: arn, visited: visited) }
    let unsupported = ["sso_session", "sso_start_url", "web_identity_token_file", "login_session"]
    if let setting = unsupported.first(where: { profile[$0] != nil }) {
      let name = profile.name
      throw ConfigurationError(
        subject: "profile \(name)",
        cause: "uses \(setting), which is not supported"
          + (setting == "web_identity_token_file" ? " without role_arn" : " yet"),
        remedy:
          "Export keys with: eval \"$(aws configure export-credentials --profile \(name) --format env)\"")
    }
    if let provider = try keysProvider(of: profile) { return (provider, "profile \(profile.name)") }
    guard let command = profile["credential_process"] else { return nil }
    let process = try ProcessCredentials(command: command, profile: profile.name)
    return (refreshing { try await process.credentials() }, "profile \(profile.name) (credential_process)")
  }

  /// The time between two reads of the files for the same refused keys. A read takes some microseconds, and a
  /// user who has just written new keys expects their use.
  private static let readingPauseSeconds: TimeInterval = 5

  /// The keys in a profile; nil if it has none. The files are read again when the service refuses the keys,
  /// because login tools and key rotation replace the keys there.
  func keysProvider(of profile: Profile) throws -> (any CredentialsProvider)? {
    guard let keys = try staticCredentials(of: profile) else { return nil }
    let (environment, home, name) = (environment, homeDirectory, profile.name)
    return RefreshingCredentials(
      current: keys, now: now, renewalPauseSeconds: Self.readingPauseSeconds
    ) {
      let shared = try SharedConfiguration(environment: environment, homeDirectory: home)
      guard let found = try shared.profile(name)?.awsCredentials() else {
        throw CredentialsError(
          source: "profile \(name)",
          cause: "its keys are no longer in \(shared.credentialsPath) and \(shared.configPath)",
          remedy: "Put them back, or start again with other credentials.")
      }
      return found
    }
  }

  func staticCredentials(of profile: Profile) throws -> AWSCredentials? {
    try profile.awsCredentials()
  }

  func containerProvider() throws -> (provider: any CredentialsProvider, source: String)? {
    guard let client, let container = try ContainerCredentials(environment: environment, client: client)
    else { return nil }
    return (refreshing { try await container.credentials() }, ContainerCredentials.source)
  }

  /// The last source: only a request shows whether there is such a service.
  func instanceProvider() -> (provider: any CredentialsProvider, source: String)? {
    guard let client, environment["AWS_EC2_METADATA_DISABLED"]?.lowercased() != "true" else { return nil }
    // EC2 User Guide, "Access instance metadata": on instances without IPv4 the service has only its IPv6
    // address.
    let isIPv6 = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.lowercased() == "ipv6"
    let endpoint =
      environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
      ?? (isIPv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254")
    let instance = InstanceMetadata(endpoint: endpoint, client: client)
    let others = placesWithoutNetwork
    return (
      refreshing {
        do {
          return try await instance.credentials()
        } catch var error as CredentialsError {
          error.cause += "; before it nothing was found in " + others.joined(separator: "; ")
          error.remedy = Self.remedy
          throw error
        }
      }, InstanceMetadata.source
    )
  }

  func refreshing(_ fetch: @escaping @Sendable () async throws -> AWSCredentials) -> any CredentialsProvider {
    RefreshingCredentials(now: now, fetch: fetch)
  }

  private var placesWithoutNetwork: [String] {
    let variables = isProfileRequested ? [] : ["environment (AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE)"]
    let name = profile?.name ?? "default"
    return variables + [
      "profile \(name) in \(shared.configPath) and \(shared.credentialsPath)",
      "container endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI)",
    ]
  }

  private static let remedy =
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run aws configure, attach a role to the instance (in a container "
    + "its metadata need a hop limit of 2), or ask for anonymous access."

  private func missing() -> ConfigurationError {
    ConfigurationError(
      subject: "credentials", cause: "none found; looked at: " + placesWithoutNetwork.joined(separator: "; "),
      remedy:
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run aws configure, or ask for anonymous access.")
  }
}

/// The provider of anonymous access, which signs nothing.
package struct NoCredentials: CredentialsProvider {
  package init() {}

  package func credentials() async throws -> AWSCredentials {
    throw CredentialsError(
      source: "anonymous access", cause: "requests are not signed", remedy: "Do not sign them.")
  }

  package func credentials(after refused: AWSCredentials) async throws -> AWSCredentials {
    try await credentials()
  }
}
