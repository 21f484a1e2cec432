import Credentials
import Testing

@Suite struct EndpointTests {
  private let keys = ["AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "envSecret"]
  private let config = """
    [profile lab]
    endpoint_url = https://general
    services = local
    [profile plain]
    endpoint_url = https://general
    [profile dangling]
    services = gone
    [services local]
    sts =
      endpoint_url = https://sts
    s3 =
      endpoint_url = https://s3.local:9000
    """

  @Test func `the profile's services section beats its endpoint_url, the environment beats both`() throws {
    let home = try TemporaryHome(config: config)
    var environment = keys.merging(["AWS_PROFILE": "lab"]) { $1 }
    func endpoint() throws -> String? { try home.resolve(environment: environment).endpoint?.description }
    #expect(try endpoint() == "https://s3.local:9000")
    environment["AWS_ENDPOINT_URL"] = "https://env"
    #expect(try endpoint() == "https://env")
    environment["AWS_ENDPOINT_URL_S3"] = "https://env-s3"
    #expect(try endpoint() == "https://env-s3")
    environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "TRUE"
    #expect(try endpoint() == nil)
    var overrides = ConnectionOverrides()
    overrides.endpointURL = "https://option"
    let connection = try home.resolve(overrides: overrides, environment: environment)
    #expect(connection.endpoint?.description == "https://option")
  }

  @Test func `endpoint_url of the profile counts without a services section`() throws {
    let home = try TemporaryHome(config: config)
    let environment = keys.merging(["AWS_PROFILE": "plain"]) { $1 }
    #expect(try home.resolve(environment: environment).endpoint?.host == "general")
  }

  @Test func `a services section that does not exist is an error`() throws {
    let home = try TemporaryHome(config: config)
    let error = try #require(throws: ConfigurationError.self) {
      try home.resolve(environment: keys.merging(["AWS_PROFILE": "dangling"]) { $1 })
    }
    #expect(error.description.contains("[services gone]"))
  }

  @Test(arguments: [
    "http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "http://127.8.8.8",
    "http://s3.localhost",
  ])
  func `plain http is allowed to loopback`(text: String) throws {
    let connection = try TemporaryHome().resolve(environment: keys.merging(["AWS_ENDPOINT_URL": text]) { $1 })
    #expect(connection.endpoint?.description == text)
  }

  @Test(arguments: [
    "http://10.0.0.1:9000", "http://127.0.0.1.example.com", "http://localhost.example.com", "HTTP://minio",
    "http://127.example.com.org",
  ])
  func `plain http to another machine needs leave`(text: String) throws {
    let environment = keys.merging(["AWS_ENDPOINT_URL": text]) { $1 }
    let error = try #require(throws: ConfigurationError.self) {
      try TemporaryHome().resolve(environment: environment)
    }
    #expect(error.subject == "AWS_ENDPOINT_URL")
    #expect(error.remedy.contains("allowInsecure"))
    var overrides = ConnectionOverrides()
    overrides.allowInsecure = true
    #expect(
      try TemporaryHome().resolve(overrides: overrides, environment: environment).endpoint?.scheme == .http)
  }

  @Test(
    arguments: [
      ("https://Host.Example/", "host.example", nil), ("https://h:443", "h", nil), ("http://h:80", "h", nil),
      ("http://h:8080/", "h", 8080), ("https://[2001:DB8::1]:9", "[2001:db8::1]", 9),
      ("https://[::1]", "[::1]", nil),
    ] as [(String, String, Int?)])
  func `an endpoint is scheme, host and port`(text: String, host: String, port: Int?) throws {
    let endpoint = try EndpointURL(text, source: "test")
    #expect(endpoint.host == host)
    #expect(endpoint.port == port)
  }

  @Test(arguments: [
    ("https://h/base", "/base"), ("https://h:9/storage/v1/s3/", "/storage/v1/s3"), ("https://h/", ""),
    ("https://h/a%20b/-._~", "/a%20b/-._~"), ("http://[::1]:9/x", "/x"),
  ])
  func `an endpoint may have a path, which a gateway serves it under`(text: String, path: String) throws {
    let endpoint = try EndpointURL(text, source: "test")
    #expect(endpoint.path == path)
    #expect(try EndpointURL(endpoint.description, source: "test") == endpoint)
  }

  @Test(arguments: [
    "host:9000", "ftp://host", "https://", "https://:9000", "https://h:0", "https://h:65536", "https://h:x",
    "https://h?x", "https://h/base?x", "https://h/a//b", "https://h//", "https://h/../b", "https://h/./b",
    "https://h/a b",
    "https://h/%2", "https://h/%zz", "https://h/a+b", "https://h/\u{e9}", "https://h/base@x", "https://h/a#b",
    "https://h#x", "https://h h", "https://user:verySecretIndeed@h",
    "https://[::1",
    "https://[::1]9", "https://a:b:c", "https://h\\evil", "https://h\u{e9}", "https://h:+80",
  ])
  func `what is not an endpoint is refused and shows no password`(text: String) throws {
    let error = try #require(throws: ConfigurationError.self) {
      try EndpointURL(text, source: "the endpoint given")
    }
    #expect(!error.description.contains("verySecretIndeed"))
  }
}
