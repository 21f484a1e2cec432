import Credentials
import SigV4
import TestSupport
import Testing

@Suite struct ResolvedConnectionTests {
  private let keys = ["AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "envSecret"]
  private let labKeys = "[lab]\naws_access_key_id = AKLAB\naws_secret_access_key = labSecret\n"

  // MARK: Credentials

  @Test func `keys in the environment come with their session token`() async throws {
    let environment = keys.merging(["AWS_SESSION_TOKEN": "tok"]) { $1 }
    let connection = try TemporaryHome().resolve(environment: environment)
    let found = try await connection.credentials.credentials()
    #expect(found == AWSCredentials(accessKeyID: "AKENV", secretAccessKey: "envSecret", sessionToken: "tok"))
    #expect(connection.region == "us-east-1")
    #expect(connection.endpoint == nil)
  }

  @Test func `a profile asked for by name beats keys in the environment`() async throws {
    let home = try TemporaryHome(credentials: labKeys)
    let connection = try home.resolve(profile: "lab", environment: keys)
    #expect(try await connection.credentials.credentials().accessKeyID == "AKLAB")
    #expect(connection.source.contains("lab"))
  }

  @Test func `keys in the environment beat AWS_PROFILE, whose other settings count`() async throws {
    let home = try TemporaryHome(config: "[profile lab]\nregion = lab-1\n", credentials: labKeys)
    let connection = try home.resolve(environment: keys.merging(["AWS_PROFILE": "lab"]) { $1 })
    #expect(try await connection.credentials.credentials().accessKeyID == "AKENV")
    #expect(connection.region == "lab-1")
  }

  @Test func `AWS_PROFILE chooses the profile when the environment has no keys`() async throws {
    let home = try TemporaryHome(credentials: labKeys)
    let connection = try home.resolve(environment: ["AWS_PROFILE": "lab", "AWS_ACCESS_KEY_ID": ""])
    #expect(try await connection.credentials.credentials().accessKeyID == "AKLAB")
  }

  @Test(.promise("CRED-1"))
  func `a profile's keys are read again when they are refused`() async throws {
    let home = try TemporaryHome(credentials: labKeys)
    let provider = try home.resolve(profile: "lab").credentials
    let old = try await provider.credentials()
    #expect(old.accessKeyID == "AKLAB")
    try home.write(
      "[lab]\naws_access_key_id = AKNEW\naws_secret_access_key = s\naws_session_token = tok\n",
      to: ".aws/credentials")
    #expect(try await provider.credentials() == old)
    let new = try await provider.credentials(after: old)
    #expect(new == AWSCredentials(accessKeyID: "AKNEW", secretAccessKey: "s", sessionToken: "tok"))
    #expect(try await provider.credentials() == new)
  }

  @Test func `keys that have left the file are missed by name`() async throws {
    let home = try TemporaryHome(credentials: labKeys)
    let provider = try home.resolve(profile: "lab").credentials
    let old = try await provider.credentials()
    try home.write("", to: ".aws/credentials")
    let error = try #require(
      await #expect(throws: CredentialsError.self) { try await provider.credentials(after: old) })
    for part in ["profile lab", home.path + "/.aws/credentials"] { #expect(error.description.contains(part)) }
  }

  @Test(.promise("CRED-1"))
  func `keys of the environment and keys that were given stay what they are`() async throws {
    let provider = try TemporaryHome().resolve(environment: keys).credentials
    let known = try await provider.credentials()
    #expect(try await provider.credentials(after: known) == known)
  }

  @Test func `credentials that are given beat everything`() async throws {
    let home = try TemporaryHome(credentials: labKeys)
    var overrides = ConnectionOverrides()
    overrides.credentials = AWSCredentials(accessKeyID: "AKGIVEN", secretAccessKey: "s")
    let connection = try home.resolve(profile: "lab", overrides: overrides, environment: keys)
    #expect(try await connection.credentials.credentials().accessKeyID == "AKGIVEN")
  }

  @Test func `the credentials file beats the config file, pair by pair`() async throws {
    let home = try TemporaryHome(
      config:
        "[default]\naws_access_key_id = AKCONF\naws_secret_access_key = confSecret\naws_session_token = conf\n",
      credentials: "[default]\naws_access_key_id = AKCRED\naws_secret_access_key = credSecret\n")
    let found = try await home.resolve().credentials.credentials()
    #expect(found == AWSCredentials(accessKeyID: "AKCRED", secretAccessKey: "credSecret"))
  }

  @Test func `half a pair of keys is an error, not the next source`() throws {
    let home = try TemporaryHome(credentials: "[default]\naws_access_key_id = A\n")
    #expect(throws: ConfigurationError.self) { try home.resolve() }
    let full = try TemporaryHome(credentials: labKeys)
    let half = ["AWS_SECRET_ACCESS_KEY": "verySecretIndeed", "AWS_PROFILE": "lab"]
    let error = try #require(throws: ConfigurationError.self) { try full.resolve(environment: half) }
    #expect(!error.description.contains("verySecretIndeed"))
  }

  @Test(arguments: ["argument", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
  func `an unknown profile is an error that names the known ones`(place: String) throws {
    let home = try TemporaryHome(config: "[profile alpha]\nregion = r\n", credentials: labKeys)
    let error = try #require(throws: ConfigurationError.self) {
      if place == "argument" { return try home.resolve(profile: "labb", environment: keys) }
      return try home.resolve(environment: keys.merging([place: "labb"]) { $1 })
    }
    for part in ["labb", "alpha, lab", ".aws/config", ".aws/credentials"] {
      #expect(error.description.contains(part))
    }
  }

  @Test func `without credentials the error lists where it looked`() throws {
    let home = try TemporaryHome(config: "[default]\nregion = r\n")
    let error = try #require(throws: ConfigurationError.self) { try home.resolve() }
    for part in ["AWS_ACCESS_KEY_ID", "profile default", home.path + "/.aws/credentials", "aws configure"] {
      #expect(error.description.contains(part))
    }
  }

  @Test func `anonymous access needs no credentials and gives none`() async throws {
    var overrides = ConnectionOverrides()
    overrides.isAnonymous = true
    let connection = try TemporaryHome().resolve(overrides: overrides)
    #expect(try await connection.signingCredentials() == nil)
    await #expect(throws: CredentialsError.self) { try await connection.credentials.credentials() }
  }

  @Test(arguments: ["sso_session = corp", "sso_start_url = https://x", "web_identity_token_file = /t"])
  func `a way to credentials that is not supported is said, never passed over`(setting: String) throws {
    let home = try TemporaryHome(config: "[profile lab]\n\(setting)\n", credentials: labKeys)
    let error = try #require(throws: ConfigurationError.self) { try home.resolve(profile: "lab") }
    #expect(error.description.contains("not supported"))
    #expect(error.subject == "profile lab")
  }

  // MARK: Region, addressing, certificates

  @Test func `the region is the option's, the environment's, the profile's`() throws {
    let home = try TemporaryHome(config: "[default]\nregion = profile-1\n")
    var environment = keys
    #expect(try home.resolve(environment: environment).region == "profile-1")
    environment["AWS_DEFAULT_REGION"] = "default-1"
    #expect(try home.resolve(environment: environment).region == "default-1")
    environment["AWS_REGION"] = "region-1"
    #expect(try home.resolve(environment: environment).region == "region-1")
    var overrides = ConnectionOverrides()
    overrides.region = "option-1"
    #expect(try home.resolve(overrides: overrides, environment: environment).region == "option-1")
  }

  @Test(
    arguments: [
      ("auto", .automatic), ("path", .path), ("virtual", .virtualHost),
    ] as [(String, ResolvedConnection.Addressing)])
  func `the addressing style is the profile's`(text: String, style: ResolvedConnection.Addressing) throws {
    let home = try TemporaryHome(config: "[default]\ns3 =\n  addressing_style = \(text)\n")
    #expect(try home.resolve(environment: keys).addressing == style)
    var overrides = ConnectionOverrides()
    overrides.addressing = .path
    #expect(try home.resolve(overrides: overrides, environment: keys).addressing == .path)
  }

  @Test func `an unknown addressing style is an error`() throws {
    let home = try TemporaryHome(config: "[default]\ns3 =\n  addressing_style = paht\n")
    let error = try #require(throws: ConfigurationError.self) { try home.resolve(environment: keys) }
    #expect(error.description.contains("paht"))
  }

  @Test func `the certificate bundle is the option's, the environment's, the profile's`() throws {
    let home = try TemporaryHome(config: "[default]\nca_bundle = ~/ca.pem\n")
    #expect(try home.resolve(environment: keys).caBundlePath == home.path + "/ca.pem")
    let environment = keys.merging(["AWS_CA_BUNDLE": "/env.pem"]) { $1 }
    #expect(try home.resolve(environment: environment).caBundlePath == "/env.pem")
  }
}
