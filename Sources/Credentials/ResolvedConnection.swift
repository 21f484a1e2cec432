// Credentials: finds the identity and the service of a connection.
//
//   credentials     access key, secret, perhaps a session token that expires
//   provider        a source of credentials, called before every request
//   profile         a named set of settings in ~/.aws/config and ~/.aws/credentials
//   chain           the order in which AWS's tools look for credentials; the first configured source is used
//   renewal         a fetch after the service has refused credentials
//   endpoint        the service's address, if it is not AWS's own
//   addressing      where the bucket's name goes: into the host's name or into the path
//   anonymous       without credentials: requests are not signed
//
// The rules are those of the AWS SDKs and Tools Reference Guide ("Standardized credential providers",
// "Service-specific endpoints"). Where it is silent, the behaviour of the AWS CLI counts.

import FoundationEssentials
import HTTPTransport
import SigV4

/// Everything that is needed to send requests to a bucket, found before the first transfer.
package struct ResolvedConnection: Sendable {
  package enum Addressing: String, Sendable, Hashable {
    case automatic
    case path
    case virtualHost
  }

  package var region: String
  /// Nil means AWS's own endpoint for the region.
  package var endpoint: EndpointURL?
  /// Which of AWS's hosts, if the endpoint is AWS's.
  package var variant: EndpointVariant
  package var addressing: Addressing
  package var isAnonymous: Bool
  /// A PEM file of trusted certificate authorities; nil means the system's.
  package var caBundlePath: String?
  /// Nil leaves the choice to libcurl, which reads `https_proxy`, `no_proxy` and related variables
  /// (libcurl-env(3)).
  package var proxy: String?
  package var credentials: any CredentialsProvider
  /// The origin of the credentials for messages, such as `profile lab in ~/.aws/credentials`.
  package var source: String
}

extension ResolvedConnection {
  /// The credentials for signing; nil for unsigned requests.
  package func signingCredentials() async throws -> AWSCredentials? {
    isAnonymous ? nil : try await credentials.credentials()
  }

  /// The credentials for signing after the service has refused these.
  package func signingCredentials(after refused: AWSCredentials) async throws -> AWSCredentials? {
    isAnonymous ? nil : try await credentials.credentials(after: refused)
  }
}

/// The caller's explicit settings, which take precedence over environment and profile.
package struct ConnectionOverrides: Sendable {
  package var region: String?
  package var endpointURL: String?
  package var addressing: ResolvedConnection.Addressing?
  package var isAnonymous = false
  /// Allow plain http to other machines. Others can then read keys and content in transit.
  package var allowInsecure = false
  package var caBundlePath: String?
  package var proxy: String?
  package var credentials: AWSCredentials?

  package init() {}
}

/// Finds region, endpoint and credentials in the places and the order of AWS's tools.
///
/// - Parameters:
///   - profile: a profile that the caller named (by an option, or `s3://profile@bucket`). It takes precedence
///     over keys in the environment.
///   - client: makes the client for requests to STS and to metadata services, given the trusted certificate
///     authorities. Without a client these sources are left out.
///   - now: the clock for refreshing credentials and for signing requests to STS.
/// - Throws: `ConfigurationError`. Whether a service returns credentials is known only at the first use of
///   the provider.
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
