import SigV4

extension ConnectionResolution {
  /// The first source that is configured, in the order of the AWS CLI: options, environment, profile.
  ///
  /// A source that is configured and fails is an error; going on to the next would act as somebody else.
  func credentials() throws -> (provider: any CredentialsProvider, source: String) {
    if overrides.isAnonymous { return (NoCredentials(), "anonymous") }
    if let given = overrides.credentials { return (StaticCredentials(given), "the credentials given") }
    // A profile asked for by name beats keys in the environment; AWS_PROFILE does not.
    if !isProfileRequested, let found = try environmentCredentials() {
      return (StaticCredentials(found), "environment (AWS_ACCESS_KEY_ID)")
    }
    if let profile, let found = try credentials(of: profile) { return found }
    throw missing()
  }

  private func environmentCredentials() throws -> AWSCredentials? {
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

  private func credentials(of profile: Profile) throws -> (provider: any CredentialsProvider, source: String)?
  {
    let unsupported = [
      "web_identity_token_file", "role_arn", "sso_session", "sso_start_url", "credential_process",
    ]
    if let setting = unsupported.first(where: { profile[$0] != nil }) {
      throw ConfigurationError(
        subject: "profile \(profile.name)", cause: "uses \(setting), which is not supported yet",
        remedy:
          "Export keys with: eval \"$(aws configure export-credentials --profile \(profile.name) --format env)\""
      )
    }
    guard let keys = try profile.staticCredentials() else { return nil }
    let found = AWSCredentials(
      accessKeyID: keys.accessKeyID, secretAccessKey: keys.secret, sessionToken: keys.token)
    return (StaticCredentials(found), "profile \(profile.name)")
  }

  private func missing() -> ConfigurationError {
    var places: [String] = []
    if !isProfileRequested { places.append("environment (AWS_ACCESS_KEY_ID)") }
    places.append(
      "profile \(profile?.name ?? "default") in \(shared.configPath) and \(shared.credentialsPath)")
    return ConfigurationError(
      subject: "credentials", cause: "none found; looked at: " + places.joined(separator: "; "),
      remedy:
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run aws configure, or ask for anonymous access.")
  }
}

/// The provider of anonymous access: there is nothing to sign with.
package struct NoCredentials: CredentialsProvider {
  package init() {}

  package func credentials() async throws -> AWSCredentials {
    throw CredentialsError(
      source: "anonymous access", cause: "requests are not signed", remedy: "Do not sign them.")
  }
}
