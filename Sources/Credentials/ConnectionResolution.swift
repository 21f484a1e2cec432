import FoundationEssentials
import HTTPTransport
import SigV4

/// One search through options, environment and profile.
struct ConnectionResolution {
  let overrides: ConnectionOverrides
  let environment: [String: String]
  let homeDirectory: String
  /// A PEM file of certificate authorities, for S3 and STS alike.
  let caBundlePath: String?
  let client: (any HTTPClient)?
  let now: @Sendable () -> Date
  let shared: SharedConfiguration
  /// The profile in use; nil if none was named and there is no `default`.
  let profile: Profile?
  /// Whether the caller named the profile, and not `AWS_PROFILE`.
  let isProfileRequested: Bool

  init(
    requestedProfile: String?, overrides: ConnectionOverrides, environment: [String: String],
    homeDirectory: String, client: (_ caBundlePath: String?) throws -> (any HTTPClient)?,
    now: @escaping @Sendable () -> Date
  ) throws {
    self.overrides = overrides
    // An empty variable counts as not set, as in AWS's tools.
    self.environment = environment.filter { !$0.value.isEmpty }
    self.homeDirectory = homeDirectory
    self.now = now
    shared = try SharedConfiguration(environment: environment, homeDirectory: homeDirectory)
    isProfileRequested = requestedProfile != nil
    let variable = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].first { environment[$0]?.isEmpty == false }
    if let name = requestedProfile ?? variable.flatMap({ environment[$0] }) {
      profile = try Self.knownProfile(name, in: shared, namedBy: requestedProfile == nil ? variable : nil)
    } else {
      profile = shared.profile("default")
    }
    caBundlePath = (overrides.caBundlePath ?? self.environment["AWS_CA_BUNDLE"] ?? profile?["ca_bundle"])
      .map { expandingTilde($0, homeDirectory) }
    self.client = try client(caBundlePath)
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

  /// us-east-1 if no setting names another. Other servers than AWS accept it, and AWS names a bucket's region
  /// in its answer.
  func region() throws -> String {
    let candidates = [
      ("the region given", overrides.region), ("AWS_REGION", environment["AWS_REGION"]),
      ("AWS_DEFAULT_REGION", environment["AWS_DEFAULT_REGION"]),
      (profile.map { "region of profile \($0.name)" } ?? "", profile?["region"]),
    ]
    for case (let source, let region?) in candidates { return try Self.checked(region, source: source) }
    return "us-east-1"
  }

  static func checked(_ region: String, source: String) throws -> String {
    guard isRegionName(region) else {
      throw ConfigurationError(
        subject: source, cause: "\"\(region)\" is no region's name",
        remedy: "A region is letters, digits and hyphens, such as eu-west-1.")
    }
    return region
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
        remedy: "Set it to auto, path or virtual.")
    }
  }
}
