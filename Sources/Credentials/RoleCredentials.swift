import HTTPTransport
import SigV4

/// Roles: a profile's `role_arn` with its source of credentials, and the web identity of the environment.
extension ConnectionResolution {
  /// The provider of a profile that names a role.
  ///
  /// - Parameter visited: the profiles that led here, to detect a circle.
  func roleProvider(
    of profile: Profile, arn: String, visited: [String]
  ) throws -> (provider: any CredentialsProvider, source: String) {
    func fault(_ cause: String, _ remedy: String) -> ConfigurationError {
      ConfigurationError(subject: "profile \(profile.name)", cause: cause, remedy: remedy)
    }
    if profile["mfa_serial"] != nil {
      throw fault(
        "needs an MFA code (mfa_serial), which a run without a terminal cannot ask for",
        "Assume the role beforehand and export its keys: aws configure export-credentials --format env")
    }
    let role = SecurityTokenService.Role(
      arn: arn, sessionName: profile["role_session_name"] ?? "s3mirror", externalID: profile["external_id"],
      durationSeconds: profile["duration_seconds"])
    let service = try securityTokenService(of: profile, for: "profile \(profile.name)")
    let source = "profile \(profile.name) (role \(arn))"
    if let file = profile["web_identity_token_file"] {
      return (refreshing { try await service.assume(role, withTokenFile: file) }, source)
    }
    let base: any CredentialsProvider
    switch (profile["source_profile"], profile["credential_source"]) {
    case (let name?, nil): base = try sourceProvider(name, of: profile, visited: visited)
    case (nil, let name?): base = try credentialSource(name, of: profile)
    default:
      throw fault("has role_arn without one of source_profile and credential_source", "Set exactly one.")
    }
    return (refreshing { try await service.assume(role, as: base) }, source)
  }

  /// The web identity that EKS and other platforms set in the environment.
  func environmentRole() throws -> (provider: any CredentialsProvider, source: String)? {
    guard let file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"] else { return nil }
    guard let arn = environment["AWS_ROLE_ARN"] else {
      throw ConfigurationError(
        subject: "AWS_WEB_IDENTITY_TOKEN_FILE", cause: "is set without AWS_ROLE_ARN",
        remedy: "Set both or neither.")
    }
    let role = SecurityTokenService.Role(
      arn: arn, sessionName: environment["AWS_ROLE_SESSION_NAME"] ?? "s3mirror")
    let service = try securityTokenService(of: self.profile, for: "AWS_WEB_IDENTITY_TOKEN_FILE")
    return (
      refreshing { try await service.assume(role, withTokenFile: file) },
      "environment (AWS_WEB_IDENTITY_TOKEN_FILE, role \(arn))"
    )
  }

  private func sourceProvider(
    _ name: String, of profile: Profile, visited: [String]
  ) throws -> any CredentialsProvider {
    // A profile may name itself as its source. Then its own keys assume its role.
    if name == profile.name, let keys = try keysProvider(of: profile) { return keys }
    let path = visited + [profile.name]
    guard !path.contains(name), let next = shared.profile(name) else {
      throw ConfigurationError(
        subject: "source_profile of profile \(profile.name)",
        cause: path.contains(name)
          ? "goes in a circle: \((path + [name]).joined(separator: " → "))"
          : "names \(name), which is unknown",
        remedy: "Name a profile that has keys.")
    }
    guard let found = try credentials(of: next, visited: path) else {
      throw ConfigurationError(
        subject: "source_profile of profile \(profile.name)", cause: "profile \(name) has no credentials",
        remedy: "Name a profile that has keys.")
    }
    return found.provider
  }

  private func credentialSource(_ name: String, of profile: Profile) throws -> any CredentialsProvider {
    let found: (provider: any CredentialsProvider, source: String)?
    switch name.lowercased() {
    case "environment": found = try environmentCredentials().map { (StaticCredentials($0), "environment") }
    case "ecscontainer": found = try containerProvider()
    case "ec2instancemetadata": found = instanceProvider()
    default: found = nil
    }
    guard let found else {
      throw ConfigurationError(
        subject: "credential_source of profile \(profile.name)", cause: "\(name) gives no credentials here",
        remedy:
          "Set it to Environment, EcsContainer or Ec2InstanceMetadata, and check that it has credentials.")
    }
    return found.provider
  }

  /// - Parameter profile: the profile of the role, with its endpoint and region.
  private func securityTokenService(of profile: Profile?, for subject: String) throws -> SecurityTokenService
  {
    guard let client else {
      throw ConfigurationError(
        subject: subject, cause: "needs AWS STS, and there is no network client", remedy: "Use keys instead.")
    }
    let (endpoint, region) = try securityTokenEndpoint(of: profile)
    return SecurityTokenService(endpoint: endpoint, region: region, client: client, now: now)
  }
}
