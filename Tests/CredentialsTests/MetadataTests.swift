import Credentials
import Foundation
import HTTPTransport
import SigV4
import Synchronization
import Testing

@Suite struct InstanceMetadataTests {
  @Test func `the instance's role is asked for with a session token`() async throws {
    let client = ScriptedClient { request in
      if request.method == .put { return .ok("session") }
      guard request.headers["x-aws-ec2-metadata-token"] == "session" else { return HTTPResponse(status: 401) }
      return request.url.hasSuffix("/security-credentials/") ? .ok("my role\n") : .ok(document("AKIMDS"))
    }
    let connection = try TemporaryHome().resolve(client: client)
    let found = try await connection.credentials.credentials()
    #expect(
      found
        == AWSCredentials(
          accessKeyID: "AKIMDS", secretAccessKey: "verySecretIndeed", sessionToken: "tok",
          expiration: endOfScript))
    #expect(
      client.exchanges.map(\.request.url) == [
        "http://169.254.169.254/latest/api/token",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/my%20role",
      ])
    #expect(connection.source.contains("IMDSv2"))
  }

  @Test func `where nobody answers the error says what was looked at before`() async throws {
    let client = ScriptedClient { _ in throw TransportError(.connect, "no route to 169.254.169.254") }
    let home = try TemporaryHome()
    let connection = try home.resolve(client: client)
    let error = try #require(
      await #expect(throws: CredentialsError.self) { try await connection.credentials.credentials() })
    for part in ["no route", "AWS_ACCESS_KEY_ID", home.path + "/.aws/credentials", "anonymous"] {
      #expect(error.description.contains(part))
    }
    #expect(client.exchanges.count == 1)
  }

  @Test func `a server in trouble is asked three times`() async throws {
    let client = ScriptedClient { _ in HTTPResponse(status: 503) }
    let connection = try TemporaryHome().resolve(client: client)
    await #expect(throws: CredentialsError.self) { try await connection.credentials.credentials() }
    #expect(client.exchanges.count == 3)
  }

  @Test func `an answer without credentials is an error that shows nothing of it`() async throws {
    let client = ScriptedClient { _ in .ok("{\"SecretAccessKey\": \"verySecretIndeed\"}") }
    let connection = try TemporaryHome().resolve(client: client)
    let error = try #require(
      await #expect(throws: CredentialsError.self) { try await connection.credentials.credentials() })
    #expect(!error.description.contains("verySecretIndeed"))
  }

  @Test func `the environment can forbid or move the service`() async throws {
    let client = ScriptedClient { _ in .ok(document("AK")) }
    #expect(throws: ConfigurationError.self) {
      try TemporaryHome().resolve(environment: ["AWS_EC2_METADATA_DISABLED": "True"], client: client)
    }
    let moved = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1338/"]
    _ = try await TemporaryHome().resolve(environment: moved, client: client).credentials.credentials()
    #expect(client.exchanges.first?.request.url == "http://127.0.0.1:1338/latest/api/token")
  }
}

@Suite struct ContainerCredentialsTests {
  private let client = ScriptedClient { request in
    request.headers["Authorization"] == "Bearer old" ? HTTPResponse(status: 401) : .ok(document("AKBOX"))
  }

  @Test func `the task's relative path is asked for at the fixed address`() async throws {
    let environment = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"]
    let connection = try TemporaryHome().resolve(environment: environment, client: client)
    #expect(try await connection.credentials.credentials().accessKeyID == "AKBOX")
    #expect(client.exchanges.first?.request.url == "http://169.254.170.2/v2/credentials/x")
    #expect(connection.source == "container endpoint")
  }

  @Test func `the token file is read at every fetch`() async throws {
    let home = try TemporaryHome()
    try home.write("Bearer old\n", to: "token")
    let time = Mutex(Date(timeIntervalSince1970: 0))
    let connection = try home.resolve(
      environment: [
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials?x=1",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": home.path + "/token",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "unused",
      ], client: client, now: { time.withLock { $0 } })
    await #expect(throws: CredentialsError.self) { try await connection.credentials.credentials() }
    try home.write("Bearer new\n", to: "token")
    time.withLock { $0 += 1 }
    #expect(try await connection.credentials.credentials().accessKeyID == "AKBOX")
    #expect(client.exchanges.last?.request.headers["Authorization"] == "Bearer new")
  }

  @Test(arguments: [
    ("http://169.254.170.2/x", true), ("http://localhost:80/x", true), ("http://[fd00:ec2::23]/x", true),
    ("https://example.com/x", true), ("http://example.com/x", false),
    ("http://169.254.170.2.example.com/x", false),
    ("http://localhost@example.com/x", false),
  ])
  func `keys are never asked for in plain text from a stranger`(url: String, isAllowed: Bool) throws {
    let environment = ["AWS_CONTAINER_CREDENTIALS_FULL_URI": url]
    if isAllowed {
      _ = try TemporaryHome().resolve(environment: environment, client: client)
    } else {
      #expect(throws: ConfigurationError.self) {
        try TemporaryHome().resolve(environment: environment, client: client)
      }
    }
  }

  @Test func `a profile's keys come before the container's`() async throws {
    let home = try TemporaryHome(credentials: "[default]\naws_access_key_id = A\naws_secret_access_key = s\n")
    let environment = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"]
    let connection = try home.resolve(environment: environment, client: client)
    #expect(try await connection.credentials.credentials().accessKeyID == "A")
  }
}
