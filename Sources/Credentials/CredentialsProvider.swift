import SigV4

/// A source of credentials. It is called before every request, and answers from memory while its credentials
/// are fresh.
package protocol CredentialsProvider: Sendable {
  /// - Throws: `CredentialsError` that names the source and the remedy; `CancellationError` as soon as the
  ///   task is cancelled.
  func credentials() async throws -> AWSCredentials

  /// Returns replacements after the service has refused these credentials as expired or unknown, even if they
  /// seem valid here. The source is asked once for all callers with the same credentials, and then not for a
  /// while.
  ///
  /// - Returns: the refused credentials if there are no others yet.
  func credentials(after refused: AWSCredentials) async throws -> AWSCredentials
}

/// Credentials that never change, from the caller or the environment.
package struct StaticCredentials: CredentialsProvider {
  private let value: AWSCredentials

  package init(_ value: AWSCredentials) {
    self.value = value
  }

  package func credentials() async throws -> AWSCredentials { value }

  package func credentials(after refused: AWSCredentials) async throws -> AWSCredentials { value }
}
