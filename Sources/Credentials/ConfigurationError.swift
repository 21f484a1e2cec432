/// What is wrong with the settings a connection is made from: found before anything is sent.
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

/// Why a source gave no credentials. It never holds a secret, nor what a service or program answered when it succeeded.
package struct CredentialsError: Error, Sendable, Hashable {
  /// Where credentials were sought: `instance metadata (IMDSv2)`.
  package var source: String
  package var cause: String
  package var remedy: String
  /// What the service called it: `ExpiredToken`.
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
