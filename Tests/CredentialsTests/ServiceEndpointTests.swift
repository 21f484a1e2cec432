import Credentials
import HTTPTransport
import SigV4
import Synchronization
import TestSupport
import Testing

/// Regions, and where STS is asked.
@Suite struct ServiceEndpointTests {
  private let keys = ["AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "s"]
  private let client = ScriptedClient { _ in .ok(stsAnswer("AKROLE")) }

  // MARK: Regions

  @Test(.promise("CRED-5"), arguments: ["evil.com/#", "us-east-1.evil.com", "us east 1", "us_east"])
  func `a region that no host can bear is refused by its source`(region: String) throws {
    var overrides = ConnectionOverrides()
    overrides.region = region
    for (source, overrides, config, variables) in [
      ("the region given", overrides, "", [:]),
      ("AWS_REGION", ConnectionOverrides(), "", ["AWS_REGION": region]),
      ("AWS_DEFAULT_REGION", ConnectionOverrides(), "", ["AWS_DEFAULT_REGION": region]),
      ("region of profile default", ConnectionOverrides(), "[default]\nregion = \(region)\n", [:]),
    ] {
      let home = try TemporaryHome(config: config)
      let error = try #require(throws: ConfigurationError.self) {
        try home.resolve(overrides: overrides, environment: keys.merging(variables) { $1 })
      }
      #expect(error.subject == source)
      #expect(error.cause.contains(region))
    }
  }

  // MARK: FIPS and dual-stack

  @Test func `FIPS and dual-stack hosts are chosen by the environment, else by the profile`() throws {
    let home = try TemporaryHome(
      config: """
        [default]
        use_fips_endpoint = true
        [profile nested]
        s3 =
          use_dualstack_endpoint = true
        """)
    #expect(try home.resolve(environment: keys).variant == .fips)
    #expect(
      try home.resolve(environment: keys.merging(["AWS_USE_FIPS_ENDPOINT": "false"]) { $1 }).variant == [])
    let both = keys.merging(["AWS_USE_DUALSTACK_ENDPOINT": "True"]) { $1 }
    #expect(try home.resolve(environment: both).variant == [.fips, .dualStack])
    let nested = keys.merging(["AWS_PROFILE": "nested"]) { $1 }
    #expect(try home.resolve(environment: nested).variant == .dualStack)
  }

  @Test(
    .promise("CRED-5"),
    arguments: [
      (["AWS_USE_FIPS_ENDPOINT": "yes"], "AWS_USE_FIPS_ENDPOINT"),
      (["AWS_USE_FIPS_ENDPOINT": "true", "AWS_REGION": "cn-north-1"], "cn-north-1"),
    ])
  func `a variant that does not exist is refused`(variables: [String: String], part: String) throws {
    let error = try #require(throws: ConfigurationError.self) {
      try TemporaryHome().resolve(environment: keys.merging(variables) { $1 })
    }
    #expect(error.description.contains(part))
  }

  @Test(.promise("CRED-4"))
  func `an endpoint that is set stands for itself`() throws {
    let variables = ["AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL": "https://own"]
    #expect(try TemporaryHome().resolve(environment: keys.merging(variables) { $1 }).variant == [])
  }

  // MARK: STS

  struct Place: Sendable, CustomTestStringConvertible {
    var settings = ""
    var variables: [String: String] = [:]
    var url: String
    var region: String

    var testDescription: String { "\(url) \(settings) \(variables)" }
  }

  static let places: [Place] = [
    Place(settings: "region = eu-west-1", url: "https://sts.eu-west-1.amazonaws.com/", region: "eu-west-1"),
    Place(url: "https://sts.us-east-1.amazonaws.com/", region: "us-east-1"),
    Place(
      settings: "region = cn-north-1", url: "https://sts.cn-north-1.amazonaws.com.cn/", region: "cn-north-1"),
    Place(
      settings: "region = eusc-de-east-1", url: "https://sts.eusc-de-east-1.amazonaws.eu/",
      region: "eusc-de-east-1"),
    Place(
      settings: "region = us-isob-east-1", url: "https://sts.us-isob-east-1.sc2s.sgov.gov/",
      region: "us-isob-east-1"),
    // AWS_STS_REGIONAL_ENDPOINTS
    Place(
      settings: "region = eu-west-1\nsts_regional_endpoints = legacy", url: "https://sts.amazonaws.com/",
      region: "us-east-1"),
    Place(
      settings: "region = eu-south-2", variables: ["AWS_STS_REGIONAL_ENDPOINTS": "legacy"],
      url: "https://sts.eu-south-2.amazonaws.com/", region: "eu-south-2"),
    Place(
      settings: "region = eu-west-1\nsts_regional_endpoints = legacy",
      variables: ["AWS_STS_REGIONAL_ENDPOINTS": "regional"], url: "https://sts.eu-west-1.amazonaws.com/",
      region: "eu-west-1"),
    // FIPS, dual-stack
    Place(
      settings: "region = us-west-2\nuse_fips_endpoint = true",
      url: "https://sts-fips.us-west-2.amazonaws.com/",
      region: "us-west-2"),
    Place(
      settings: "region = us-gov-west-1\nuse_fips_endpoint = true",
      url: "https://sts.us-gov-west-1.amazonaws.com/",
      region: "us-gov-west-1"),
    Place(
      settings: "region = us-west-2\nuse_dualstack_endpoint = true", url: "https://sts.us-west-2.api.aws/",
      region: "us-west-2"),
    Place(
      settings: "region = us-west-2\nuse_dualstack_endpoint = true\nuse_fips_endpoint = true",
      url: "https://sts-fips.us-west-2.api.aws/", region: "us-west-2"),
    // Endpoints that are set
    Place(
      variables: ["AWS_ENDPOINT_URL_STS": "https://own:9/base/"], url: "https://own:9/base/",
      region: "us-east-1"),
    Place(variables: ["AWS_ENDPOINT_URL": "https://all"], url: "https://all/", region: "us-east-1"),
    Place(
      variables: ["AWS_ENDPOINT_URL_S3": "https://s3"], url: "https://sts.us-east-1.amazonaws.com/",
      region: "us-east-1"),
    Place(settings: "endpoint_url = https://general", url: "https://general/", region: "us-east-1"),
    Place(
      settings:
        "endpoint_url = https://general\nservices = own\n[services own]\nsts =\n  endpoint_url = https://special",
      url: "https://special/", region: "us-east-1"),
    Place(
      settings: "endpoint_url = https://general", variables: ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"],
      url: "https://sts.us-east-1.amazonaws.com/", region: "us-east-1"),
  ]

  @Test(.promise("CRED-4"), arguments: places)
  func `STS is asked where its settings say, and signed for its region`(place: Place) async throws {
    let home = try TemporaryHome(
      config: "[profile a]\nrole_arn = arn:r\nsource_profile = base\n\(place.settings)\n",
      credentials: "[base]\naws_access_key_id = AKBASE\naws_secret_access_key = s\n")
    let connection = try home.resolve(profile: "a", environment: place.variables, client: client)
    #expect(try await connection.credentials.credentials().accessKeyID == "AKROLE")
    let request = try #require(client.exchanges.first?.request)
    #expect(request.url == place.url)
    #expect(request.headers["Authorization"]?.contains("/\(place.region)/sts/aws4_request") == true)
  }

  @Test(arguments: [
    (["AWS_ENDPOINT_URL_STS": "http://own"], "AWS_ENDPOINT_URL_STS"),
    (["AWS_STS_REGIONAL_ENDPOINTS": "global"], "AWS_STS_REGIONAL_ENDPOINTS"),
  ])
  func `a setting of STS that makes no sense is refused by name`(variables: [String: String], subject: String)
    throws
  {
    let home = try TemporaryHome(
      config: "[profile a]\nrole_arn = arn:r\nsource_profile = base\n",
      credentials: "[base]\naws_access_key_id = AKBASE\naws_secret_access_key = s\n")
    let error = try #require(throws: ConfigurationError.self) {
      try home.resolve(profile: "a", environment: variables, client: client)
    }
    #expect(error.subject == subject)
  }

  @Test(.promise("CRED-4"))
  func `what asks STS trusts the certificate authorities that S3 is trusted by`() throws {
    let home = try TemporaryHome(config: "[default]\nca_bundle = ~/ca.pem\n")
    let bundle = Mutex<String?>(nil)
    _ = try resolveConnection(profile: nil, environment: keys, homeDirectory: home.path) { path in
      bundle.withLock { $0 = path }
      return client
    }
    #expect(bundle.withLock { $0 } == home.path + "/ca.pem")
  }
}
