import HTTPTransport
import SigV4

/// The endpoints of services (SDKs and Tools Reference Guide, "Service-specific endpoints", "Dual-stack and
/// FIPS endpoints" and "AWS STS Regional endpoints").
extension ConnectionResolution {
  enum Service: String {
    case s3
    case sts

    var variable: String { "AWS_ENDPOINT_URL_" + rawValue.uppercased() }
  }

  /// S3's endpoint; nil means AWS's own for the region.
  func endpoint() throws -> EndpointURL? {
    if let text = overrides.endpointURL { return try checked(text, source: "the endpoint given") }
    return try configuredEndpoint(of: .s3, in: profile)
  }

  /// STS's endpoint, and the region for which requests to it are signed.
  ///
  /// - Parameter profile: the profile of the role.
  func securityTokenEndpoint(of profile: Profile?) throws -> (endpoint: EndpointURL, region: String) {
    let named = environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? profile?["region"]
    let region = try named.map { try Self.checked($0, source: "the region of AWS STS") } ?? self.region()
    if let endpoint = try configuredEndpoint(of: .sts, in: profile) { return (endpoint, region) }
    let source = "AWS STS"
    let variant = try variant(for: region)
    if try variant.isEmpty && usesGlobalSecurityTokenService(profile),
      Self.regionsOfGlobalService.contains(region)
    {
      return (try EndpointURL("https://sts.amazonaws.com", source: source), "us-east-1")
    }
    let partition = AWSPartition(ofRegion: region)
    // In GovCloud the plain hosts are already FIPS endpoints (AWS General Reference, "AWS Security Token
    // Service endpoints").
    let isPlainFIPS = partition.name == "aws-us-gov" && !variant.contains(.dualStack)
    let service = variant.contains(.fips) && !isPlainFIPS ? "sts-fips" : "sts"
    let suffix = variant.contains(.dualStack) ? partition.dualStackDNSSuffix : partition.dnsSuffix
    return (try EndpointURL("https://\(service).\(region).\(suffix)", source: source), region)
  }

  /// A service's endpoint from the environment or the profile, the more specific setting first.
  private func configuredEndpoint(of service: Service, in profile: Profile?) throws -> EndpointURL? {
    guard let (text, source) = try endpointSetting(of: service, in: profile) else { return nil }
    return try checked(text, source: source)
  }

  private func checked(_ text: String, source: String) throws -> EndpointURL {
    let endpoint = try EndpointURL(text, source: source)
    if endpoint.scheme == .https || endpoint.isLoopback || overrides.allowInsecure { return endpoint }
    throw ConfigurationError(
      subject: source, cause: "\(endpoint) would send content and signatures unencrypted to another machine",
      remedy: "Use https, or allow it with allowInsecure (--allow-insecure).")
  }

  private func endpointSetting(
    of service: Service, in profile: Profile?
  ) throws -> (text: String, source: String)? {
    let ignored =
      environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] ?? profile?["ignore_configured_endpoint_urls"]
    if ignored?.lowercased() == "true" { return nil }
    for variable in [service.variable, "AWS_ENDPOINT_URL"] {
      if let text = environment[variable] { return (text, variable) }
    }
    guard let profile else { return nil }
    if let section = profile["services"] {
      guard let settings = shared.service(service.rawValue, inSection: section) else {
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

  // MARK: FIPS, dual-stack, global

  /// Which of AWS's hosts are requested. A configured endpoint is used unchanged.
  func variant(for region: String) throws -> EndpointVariant {
    var variant: EndpointVariant = []
    if try flag("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint") { variant.insert(.fips) }
    if try flag("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint") { variant.insert(.dualStack) }
    if variant.contains(.fips), !AWSPartition(ofRegion: region).hasFIPS {
      throw ConfigurationError(
        subject: "use_fips_endpoint", cause: "AWS has no FIPS endpoints in \(region)",
        remedy: "Turn it off, or choose another region.")
    }
    return variant
  }

  private func flag(_ variable: String, _ setting: String) throws -> Bool {
    // The AWS CLI first had this setting below s3 ("AWS CLI S3 Configuration").
    guard let text = environment[variable] ?? profile?[setting] ?? profile?["s3", setting] else {
      return false
    }
    switch text.lowercased() {
    case "true": return true
    case "false": return false
    default:
      throw ConfigurationError(
        subject: environment[variable] == nil
          ? "\(setting) of profile \(profile?.name ?? "default")" : variable,
        cause: "\(text) is neither true nor false", remedy: "Write true or false.")
    }
  }

  private func usesGlobalSecurityTokenService(_ profile: Profile?) throws -> Bool {
    let variable = "AWS_STS_REGIONAL_ENDPOINTS"
    let setting = "sts_regional_endpoints"
    guard let text = environment[variable] ?? profile?[setting] else { return false }
    switch text.lowercased() {
    case "legacy": return true
    case "regional": return false
    default:
      throw ConfigurationError(
        subject: environment[variable] == nil
          ? "\(setting) of profile \(profile?.name ?? "default")" : variable,
        cause: "\(text) is neither legacy nor regional", remedy: "Write legacy or regional.")
    }
  }

  /// The regions that `legacy` sends to the global endpoint (listed on that page). Newer regions have only
  /// their own endpoint.
  private static let regionsOfGlobalService: Set = [
    "ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "aws-global", "ca-central-1",
    "eu-central-1",
    "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1",
    "us-west-2",
  ]
}
