import FoundationEssentials
import HTTPTransport
import SigV4

/// One search through options, environment and profile.
struct ConnectionResolution {
  let overrides: ConnectionOverrides
  let environment: [String: String]
  let homeDirectory: String
  let client: (any HTTPClient)?
  let now: @Sendable () -> Date
  let shared: SharedConfiguration
  /// The profile in force; nil when none was named and there is no `default`.
  let profile: Profile?
  /// Whether the caller named it, rather than `AWS_PROFILE` or nobody.
  let isProfileRequested: Bool

  init(
    requestedProfile: String?, overrides: ConnectionOverrides, environment: [String: String],
    homeDirectory: String, client: (any HTTPClient)?, now: @escaping @Sendable () -> Date
  ) throws {
    self.overrides = overrides
    // A variable that is set to nothing counts as not set, as in AWS's tools.
    self.environment = environment.filter { !$0.value.isEmpty }
    self.homeDirectory = homeDirectory
    self.client = client
    self.now = now
    shared = try SharedConfiguration(environment: environment, homeDirectory: homeDirectory)
    isProfileRequested = requestedProfile != nil
    let variable = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].first { environment[$0]?.isEmpty == false }
    if let name = requestedProfile ?? variable.flatMap({ environment[$0] }) {
      profile = try Self.knownProfile(name, in: shared, namedBy: requestedProfile == nil ? variable : nil)
    } else {
      profile = shared.profile("default")
    }
  }

  private static func knownProfile(
    _ name: String, in shared: SharedConfiguration, namedBy variable: String?
  ) throws -> Profile {
    if let profile = shared.profile(name) { return profile }
    let known = shared.profileNames
    throw ConfigurationError(
      subject: "profile \(name)" + (variable.map { " (named by \($0))" } ?? ""),
      cause: "is neither in \(shared.configPath) nor in \(shared.credentialsPath)",
      remedy: known.isEmpty
        ? "There are no profiles; add one with: aws configure --profile \(name)"
        : "Known profiles: \(known.joined(separator: ", ")).")
  }

  /// us-east-1 when nothing names another: servers other than AWS accept it, and AWS names a bucket's true region in
  /// its answer.
  var region: String {
    overrides.region ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? profile?["region"]
      ?? "us-east-1"
  }

  var caBundlePath: String? {
    (overrides.caBundlePath ?? environment["AWS_CA_BUNDLE"] ?? profile?["ca_bundle"])
      .map { expandingTilde($0, homeDirectory) }
  }

  func endpoint() throws -> EndpointURL? {
    guard let (text, source) = try endpointSetting() else { return nil }
    let endpoint = try EndpointURL(text, source: source)
    try checkEncryption(of: endpoint, source: source)
    return endpoint
  }

  func checkEncryption(of endpoint: EndpointURL, source: String) throws {
    if endpoint.scheme == .https || endpoint.isLoopback || overrides.allowInsecure { return }
    throw ConfigurationError(
      subject: source, cause: "\(endpoint) would send content and signatures unencrypted to another machine",
      remedy: "Use https, or allow it with allowInsecure (--allow-insecure).")
  }

  private func endpointSetting() throws -> (text: String, source: String)? {
    if let text = overrides.endpointURL { return (text, "the endpoint given") }
    let ignored =
      environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] ?? profile?["ignore_configured_endpoint_urls"]
    if ignored?.lowercased() == "true" { return nil }
    for variable in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
      if let text = environment[variable] { return (text, variable) }
    }
    guard let profile else { return nil }
    if let section = profile["services"] {
      guard let settings = shared.service("s3", inSection: section) else {
        throw ConfigurationError(
          subject: "profile \(profile.name)",
          cause: "refers to [services \(section)], which is not in \(shared.configPath)",
          remedy: "Add that section or remove the line.")
      }
      if let text = settings["endpoint_url"], !text.isEmpty {
        return (text, "endpoint_url in [services \(section)]")
      }
    }
    return profile["endpoint_url"].map { ($0, "endpoint_url of profile \(profile.name)") }
  }

  func addressing() throws -> ResolvedConnection.Addressing {
    if let addressing = overrides.addressing { return addressing }
    switch profile?["s3", "addressing_style"]?.lowercased() {
    case nil, "auto": return .automatic
    case "path": return .path
    case "virtual": return .virtualHost
    case let other?:
      throw ConfigurationError(
        subject: "addressing_style of profile \(profile?.name ?? "default")",
        cause: "\(other) is no addressing style",
        remedy: "It is auto, path or virtual.")
    }
  }
}
