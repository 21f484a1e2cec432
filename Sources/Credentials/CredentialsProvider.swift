import SigV4

/// A source of credentials: asked before every request, it answers from memory while what it has is fresh.
package protocol CredentialsProvider: Sendable {
  /// - Throws: `CredentialsError` that names the source and the remedy.
  func credentials() async throws -> AWSCredentials
}

/// Credentials that never change: given explicitly, by the environment or by a profile.
package struct StaticCredentials: CredentialsProvider {
  private let value: AWSCredentials

  package init(_ value: AWSCredentials) {
    self.value = value
  }

  package func credentials() async throws -> AWSCredentials { value }
}
