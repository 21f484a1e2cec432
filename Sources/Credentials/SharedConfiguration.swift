import SigV4

/// The user's profiles: `~/.aws/config` and `~/.aws/credentials` read together.
package struct SharedConfiguration: Sendable {
  package let configPath: String
  package let credentialsPath: String
  private let config: ConfigurationFile
  private let credentials: ConfigurationFile

  /// Reads both files from the paths in `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`, otherwise from
  /// `~/.aws`.
  ///
  /// - Throws: `ConfigurationError` that names the file. A missing file counts as empty.
  package init(environment: [String: String], homeDirectory: String) throws {
    func path(_ variable: String, _ standard: String) -> String {
      guard let named = environment[variable], !named.isEmpty else { return homeDirectory + standard }
      return expandingTilde(named, homeDirectory)
    }
    configPath = path("AWS_CONFIG_FILE", "/.aws/config")
    credentialsPath = path("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials")
    config = try ConfigurationFile(path: configPath)
    credentials = try ConfigurationFile(path: credentialsPath)
  }

  /// The profile of this name; nil if neither file has it.
  package func profile(_ name: String) -> Profile? {
    // In the config file every profile's name has a prefix. `default` may have none, but `[profile default]`
    // takes precedence.
    let prefixed = config.values(kind: "profile", name: name)
    let plain = name == "default" ? config.values(kind: nil, name: name) : nil
    let settings = prefixed ?? plain
    let keys = credentials.values(kind: nil, name: name)
    if settings == nil, keys == nil { return nil }
    return Profile(name: name, config: settings ?? [:], credentials: keys ?? [:])
  }

  /// The names of all profiles, sorted.
  package var profileNames: [String] {
    let prefixed = config.sections.filter { $0.kind == "profile" }
    let plain = config.sections.filter { $0.kind == nil && $0.name == "default" }
    let keyed = credentials.sections.filter { $0.kind == nil }
    return Set((prefixed + plain + keyed).map(\.name)).sorted()
  }

  /// The settings of a service in the `[services …]` section; nil if there is no such section.
  func service(_ service: String, inSection name: String) -> [String: String]? {
    guard let section = config.values(kind: "services", name: name) else { return nil }
    guard case .nested(let settings) = section[service] else { return [:] }
    return settings
  }
}

/// One profile's settings from both files. It holds secrets, so its description is only its name.
package struct Profile: Sendable {
  package let name: String
  fileprivate let config: [String: ConfigurationFile.Value]
  fileprivate let credentials: [String: ConfigurationFile.Value]

  /// A setting's text. If both files have it, the credentials file takes precedence, as in the SDKs.
  package subscript(setting: String) -> String? {
    text(credentials[setting]) ?? text(config[setting])
  }

  /// A setting nested below another: `profile["s3", "addressing_style"]`.
  package subscript(group: String, setting: String) -> String? {
    for values in [credentials, config] {
      if case .nested(let settings) = values[group], let value = settings[setting], !value.isEmpty {
        return value
      }
    }
    return nil
  }

  /// Key, secret and token from one file, never a key from one file and a secret from the other.
  ///
  /// - Throws: `ConfigurationError` if the secret is missing.
  func awsCredentials() throws -> AWSCredentials? {
    for values in [credentials, config] {
      guard let accessKeyID = text(values["aws_access_key_id"]) else { continue }
      guard let secret = text(values["aws_secret_access_key"]) else {
        throw ConfigurationError(
          subject: "profile \(name)", cause: "has aws_access_key_id without aws_secret_access_key",
          remedy: "Set both in the same file.")
      }
      let token = text(values["aws_session_token"]) ?? text(values["aws_security_token"])
      return AWSCredentials(accessKeyID: accessKeyID, secretAccessKey: secret, sessionToken: token)
    }
    return nil
  }

  private func text(_ value: ConfigurationFile.Value?) -> String? {
    guard case .text(let text) = value, !text.isEmpty else { return nil }
    return text
  }
}

extension Profile: CustomStringConvertible, CustomReflectable {
  package var description: String { "Profile(\(name))" }
  package var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

extension SharedConfiguration: CustomReflectable {
  package var customMirror: Mirror {
    Mirror(self, children: ["configPath": configPath, "credentialsPath": credentialsPath])
  }
}

/// Replaces `~` in `~/x` by the user's home directory, as AWS's tools do for file names.
func expandingTilde(_ path: String, _ homeDirectory: String) -> String {
  path.utf8.starts(with: "~/".utf8) ? homeDirectory + path.dropFirst() : path
}
