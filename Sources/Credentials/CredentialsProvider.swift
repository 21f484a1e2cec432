import SigV4

/// A source of credentials: asked before every request, it answers from memory while what it has is fresh.
package protocol CredentialsProvider: Sendable {
  /// - Throws: `CredentialsError` that names the source and the remedy; `CancellationError`, as soon as the task is cancelled.
  func credentials() async throws -> AWSCredentials

  /// What to use once the service has refused these as expired or unknown, although they may seem good here. The source is
  /// asked again, once for all that come with the same ones, and then not for a while.
  ///
  /// - Returns: the refused ones where there are no others yet.
  func credentials(after refused: AWSCredentials) async throws -> AWSCredentials
}

/// Credentials that never change: given explicitly or by the environment.
package struct StaticCredentials: CredentialsProvider {
  private let value: AWSCredentials

  package init(_ value: AWSCredentials) {
    self.value = value
  }

  package func credentials() async throws -> AWSCredentials { value }

  package func credentials(after refused: AWSCredentials) async throws -> AWSCredentials { value }
}
