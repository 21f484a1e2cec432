/// An error in the settings of a connection. It is found before any request is sent.
package struct ConfigurationError: Error, Sendable, Hashable {
  /// The setting, variable, profile or file at fault.
  package var subject: String
  package var cause: String
  package var remedy: String

  package init(subject: String, cause: String, remedy: String) {
    self.subject = subject
    self.cause = cause
    self.remedy = remedy
  }
}

extension ConfigurationError: CustomStringConvertible {
  package var description: String { "\(subject): \(cause). \(remedy)" }
}

/// Why a source gave no credentials. The error never holds a secret, or the successful answer of a service or
/// program.
package struct CredentialsError: Error, Sendable, Hashable {
  /// The source, such as `instance metadata (IMDSv2)`.
  package var source: String
  package var cause: String
  package var remedy: String
  /// The service's error code, such as `ExpiredToken`.
  package var code: String?

  package init(source: String, cause: String, remedy: String, code: String? = nil) {
    self.source = source
    self.cause = cause
    self.remedy = remedy
    self.code = code
  }
}

extension CredentialsError: CustomStringConvertible {
  package var description: String { "no credentials from \(source): \(cause). \(remedy)" }
}
