import Credentials
import Foundation
import Glibc
import HTTPTransport
import SigV4
import TestSupport
import Testing

@Suite struct RoleCredentialsTests {
  private let client = ScriptedClient { _ in .ok(stsAnswer("AKROLE")) }
  private let baseKeys = "[base]\naws_access_key_id = AKBASE\naws_secret_access_key = baseSecret\n"

  @Test func `a role is assumed with the source profile's keys`() async throws {
    let home = try TemporaryHome(
      config: """
        [profile lab]
        role_arn = arn:aws:iam::1:role/r
        source_profile = base
        external_id = ext/1
        region = eu-west-1
        """, credentials: baseKeys)
    let connection = try home.resolve(profile: "lab", client: client)
    let found = try await connection.credentials.credentials()
    #expect(found.accessKeyID == "AKROLE")
    #expect(found.sessionToken == "tok==")
    #expect(found.expiration == endOfScript)
    let exchange = try #require(client.exchanges.first)
    #expect(exchange.request.url == "https://sts.eu-west-1.amazonaws.com/")
    let authorization = try #require(exchange.request.headers["Authorization"])
    #expect(authorization.contains("Credential=AKBASE/"))
    #expect(authorization.contains("/eu-west-1/sts/aws4_request"))
    #expect(
      exchange.body == "Action=AssumeRole&ExternalId=ext%2F1&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"
        + "&RoleSessionName=s3mirror&Version=2011-06-15")
  }

  @Test func `roles chain from profile to profile`() async throws {
    let home = try TemporaryHome(
      config: """
        [profile far]
        role_arn = arn:far
        source_profile = near
        [profile near]
        role_arn = arn:near
        source_profile = near
        aws_access_key_id = AKNEAR
        aws_secret_access_key = s
        """)
    _ = try await home.resolve(profile: "far", client: client).credentials.credentials()
    #expect(client.exchanges.count == 2)
    #expect(client.exchanges.first?.body.contains("RoleArn=arn%3Anear") == true)
    #expect(client.exchanges.first?.request.headers["Authorization"]?.contains("AKNEAR/") == true)
    #expect(client.exchanges.last?.body.contains("RoleArn=arn%3Afar") == true)
    #expect(client.exchanges.last?.request.headers["Authorization"]?.contains("AKROLE/") == true)
  }

  @Test(arguments: [
    ("role_arn = r\nsource_profile = b\n[profile b]\nrole_arn = s\nsource_profile = a", "a → b → a"),
    ("role_arn = r\nsource_profile = a", "a → a"),
    ("role_arn = r\nsource_profile = gone", "gone"),
    ("role_arn = r\nsource_profile = empty\n[profile empty]\nregion = x", "no credentials"),
    ("role_arn = r", "source_profile"),
    ("role_arn = r\nsource_profile = base\nmfa_serial = m", "mfa_serial"),
    ("role_arn = r\ncredential_source = Elsewhere", "Elsewhere"),
    ("role_arn = r\ncredential_source = Environment\nsource_profile = base", "exactly one"),
  ])
  func `a role that cannot be assumed is found before anything is sent`(settings: String, part: String) throws
  {
    let home = try TemporaryHome(config: "[profile a]\n" + settings + "\n", credentials: baseKeys)
    let error = try #require(throws: ConfigurationError.self) {
      try home.resolve(profile: "a", client: client)
    }
    #expect(error.description.contains(part))
    #expect(client.exchanges.isEmpty)
  }

  @Test func `credential_source takes keys from the environment even for a profile asked for by name`()
    async throws
  {
    let home = try TemporaryHome(config: "[profile a]\nrole_arn = r\ncredential_source = Environment\n")
    let environment = ["AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "s"]
    let connection = try home.resolve(profile: "a", environment: environment, client: client)
    _ = try await connection.credentials.credentials()
    #expect(client.exchanges.first?.request.headers["Authorization"]?.contains("AKENV/") == true)
  }

  @Test func `a web identity is its own proof and goes unsigned`() async throws {
    let home = try TemporaryHome()
    try home.write("to/ken\n", to: "token")
    let environment = [
      "AWS_WEB_IDENTITY_TOKEN_FILE": home.path + "/token", "AWS_ROLE_ARN": "arn:r", "AWS_REGION": "us-west-2",
    ]
    let connection = try home.resolve(environment: environment, client: client)
    #expect(try await connection.credentials.credentials().accessKeyID == "AKROLE")
    let exchange = try #require(client.exchanges.first)
    #expect(exchange.request.url == "https://sts.us-west-2.amazonaws.com/")
    #expect(exchange.request.headers["Authorization"] == nil)
    #expect(
      exchange.body == "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Ar&RoleSessionName=s3mirror"
        + "&Version=2011-06-15&WebIdentityToken=to%2Fken")
  }

  @Test func `a role is assumed with the source's new keys where STS refuses the old ones`() async throws {
    let home = try TemporaryHome(
      config: "[profile a]\nrole_arn = arn:r\nsource_profile = base\n", credentials: baseKeys)
    let client = ScriptedClient { request in
      guard request.headers["Authorization"]?.contains("AKBASE/") == true else {
        return .ok(stsAnswer("AKROLE"))
      }
      return HTTPResponse(status: 403, body: Array("<Code>ExpiredToken</Code>".utf8))
    }
    let provider = try home.resolve(profile: "a", client: client).credentials
    try home.write("[base]\naws_access_key_id = AKNEW\naws_secret_access_key = s\n", to: ".aws/credentials")
    #expect(try await provider.credentials().accessKeyID == "AKROLE")
    #expect(client.exchanges.count == 2)
  }

  @Test func `STS's refusal is shown in its own words`() async throws {
    let refusing = ScriptedClient { _ in
      let text =
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
      return HTTPResponse(status: 403, body: Array(text.utf8))
    }
    let home = try TemporaryHome(
      config: "[profile a]\nrole_arn = arn:r\nsource_profile = base\n", credentials: baseKeys)
    let provider = try home.resolve(profile: "a", client: refusing).credentials
    let error = try #require(
      await #expect(throws: CredentialsError.self) { try await provider.credentials() })
    for part in ["AccessDenied: not you", "arn:r", "403"] { #expect(error.description.contains(part)) }
  }
}

@Suite struct ProcessCredentialsTests {
  private func run(_ command: String) async throws -> AWSCredentials {
    let home = try TemporaryHome(config: "[profile a]\ncredential_process = \(command)\n")
    return try await home.resolve(profile: "a").credentials.credentials()
  }

  @Test func `a program's answer is taken, its arguments unquoted without a shell`() async throws {
    let json = #"{\"Version\": 1, \"AccessKeyId\": \"$HOME AK\", \"SecretAccessKey\": \"s\"}"#
    let found = try await run("printf '%s' \"\(json)\"")
    #expect(found == AWSCredentials(accessKeyID: "$HOME AK", secretAccessKey: "s"))
  }

  @Test(arguments: [
    "false", "/no/such/program",
    "printf '{\"Version\": 2, \"AccessKeyId\": \"a\", \"SecretAccessKey\": \"s\"}'",
    "printf verySecretIndeed",
    "printf '{\"AccessKeyId\": \"a\", \"SecretAccessKey\": \"verySecretIndeed\", \"Expiration\": \"soon\"}'",
  ])
  func `a program that fails or answers otherwise is an error that shows no secret`(command: String)
    async throws
  {
    let error = try #require(await #expect(throws: CredentialsError.self) { try await run(command) })
    #expect(error.source == "credential_process of profile a")
    #expect(!error.description.contains("verySecretIndeed"))
  }

  @Test func `a program is asked again when its credentials are refused, though they name no end`()
    async throws
  {
    let home = try TemporaryHome()
    try home.write("{\"Version\": 1, \"AccessKeyId\": \"OLD\", \"SecretAccessKey\": \"s\"}", to: "answer")
    try home.write("[profile a]\ncredential_process = cat \(home.path)/answer\n", to: ".aws/config")
    let provider = try home.resolve(profile: "a").credentials
    let old = try await provider.credentials()
    try home.write("{\"Version\": 1, \"AccessKeyId\": \"NEW\", \"SecretAccessKey\": \"s\"}", to: "answer")
    #expect(try await provider.credentials() == old)
    #expect(try await provider.credentials(after: old).accessKeyID == "NEW")
  }

  @Test(.promise("CRED-2"))
  func `whoever waits for a program that hangs can be cancelled`() async throws {
    let home = try TemporaryHome()
    let fifo = home.path + "/began"
    try #require(mkfifo(fifo, 0o600) == 0)
    try home.write("[profile a]\ncredential_process = sh -c 'echo >\(fifo); sleep 600'\n", to: ".aws/config")
    let provider = try home.resolve(profile: "a").credentials
    let task = Task { try await provider.credentials() }
    // Opening it waits for the program's end of it.
    let end = await withCheckedContinuation { continuation in
      Thread { continuation.resume(returning: open(fifo, O_RDONLY)) }.start()
    }
    #expect(end >= 0)
    close(end)
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  @Test func `a quote that does not end is found at once`() async {
    await #expect(throws: ConfigurationError.self) { try await run("printf 'x") }
  }
}
