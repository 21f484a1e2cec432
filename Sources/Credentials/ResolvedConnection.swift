// Credentials: who we are, and where the service is.
//
//   credentials     access key, secret, perhaps a session token that expires
//   provider        a source of credentials, asked before every request
//   profile         a named set of settings in ~/.aws/config and ~/.aws/credentials
//   chain           the order in which AWS's tools look for credentials; the first that has any is used
//   endpoint        the service's address, when it is not AWS's own
//   addressing      where the bucket's name goes: into the host's name or into the path
//   anonymous       without credentials: requests go unsigned
//
// Facts are those of the AWS SDKs and Tools Reference Guide ("Standardized credential providers", "Service-specific
// endpoints") and, where it is silent, of the AWS CLI's behaviour.

import FoundationEssentials
import HTTPTransport
import SigV4

/// Everything needed to speak to a bucket, found before the first byte moves.
package struct ResolvedConnection: Sendable {
  package enum Addressing: String, Sendable, Hashable {
    case automatic
    case path
    case virtualHost
  }

  package var region: String
  /// Nil is AWS's own for the region.
  package var endpoint: EndpointURL?
  /// Which of AWS's hosts, where it is one of them.
  package var variant: EndpointVariant
  package var addressing: Addressing
  package var isAnonymous: Bool
  /// PEM file of certificate authorities to trust; nil is the system's.
  package var caBundlePath: String?
  /// Nil leaves it to libcurl, which reads `https_proxy`, `no_proxy` and their kin itself (libcurl-env(3)).
  package var proxy: String?
  package var credentials: any CredentialsProvider
  /// Where the credentials come from, for messages: `profile lab in ~/.aws/credentials`.
  package var source: String
}

extension ResolvedConnection {
  /// What requests are signed with; nil when they go unsigned.
  package func signingCredentials() async throws -> AWSCredentials? {
    isAnonymous ? nil : try await credentials.credentials()
  }

  /// What to sign with after the service has refused these.
  package func signingCredentials(after refused: AWSCredentials) async throws -> AWSCredentials? {
    isAnonymous ? nil : try await credentials.credentials(after: refused)
  }
}

/// What the caller says outright, above environment and profile.
package struct ConnectionOverrides: Sendable {
  package var region: String?
  package var endpointURL: String?
  package var addressing: ResolvedConnection.Addressing?
  package var isAnonymous = false
  /// Plain http to other machines: keys and content are then readable on the way.
  package var allowInsecure = false
  package var caBundlePath: String?
  package var proxy: String?
  package var credentials: AWSCredentials?

  package init() {}
}

/// Finds region, endpoint and credentials where AWS's tools look, in their order.
///
/// - Parameters:
///   - profile: a profile asked for by name (an option, or `s3://profile@bucket`); it beats keys in the environment.
///   - client: makes what sends requests to STS and to metadata services, given the certificate authorities to trust; where
///     it makes none these are left out.
///   - now: the time, by which credentials are refreshed and requests to STS signed.
/// - Throws: `ConfigurationError`. Whether a service gives credentials shows at the first use of the provider.
package func resolveConnection(
  profile: String?, overrides: ConnectionOverrides = ConnectionOverrides(), environment: [String: String],
  homeDirectory: String, client: (_ caBundlePath: String?) throws -> (any HTTPClient)? = { _ in nil },
  now: @escaping @Sendable () -> Date = { Date() }
) throws -> ResolvedConnection {
  let resolution = try ConnectionResolution(
    requestedProfile: profile, overrides: overrides, environment: environment, homeDirectory: homeDirectory,
    client: client, now: now)
  let region = try resolution.region()
  let endpoint = try resolution.endpoint()
  let (credentials, source) = try resolution.credentials()
  return ResolvedConnection(
    region: region, endpoint: endpoint, variant: endpoint == nil ? try resolution.variant(for: region) : [],
    addressing: try resolution.addressing(),
    isAnonymous: overrides.isAnonymous, caBundlePath: resolution.caBundlePath, proxy: overrides.proxy,
    credentials: credentials, source: source)
}
