import Credentials
import Foundation
import Testing

@Suite struct SharedConfigurationTests {
  @Test func `profiles come from both files, prefixed in one and plain in the other`() throws {
    let home = try TemporaryHome(
      config: """
        [default]
        region = eu-west-1
        [profile lab]
        region=us-west-2
        [plain]
        region = nowhere
        """,
      credentials: """
        [lab]
        aws_access_key_id = AKLAB
        [keys only]
        aws_access_key_id = AKONLY
        [profile wrong]
        aws_access_key_id = AKWRONG
        """)
    let shared = try home.shared()
    #expect(shared.profileNames == ["default", "keys only", "lab"])
    #expect(shared.profile("lab")?["region"] == "us-west-2")
    #expect(shared.profile("lab")?["aws_access_key_id"] == "AKLAB")
    #expect(shared.profile("keys only")?["aws_access_key_id"] == "AKONLY")
    #expect(shared.profile("plain") == nil)
    #expect(shared.profile("wrong") == nil)
  }

  @Test func `comments, white space, case and line ends do not matter`() throws {
    let home = try TemporaryHome(
      config: "\u{feff}# a comment\r\n\r\n[ profile   lab ] ; why [not]\r\n; another\r\n"
        + "REGION\t=  us-west-2   # near\r\n  # indented comment\r\nca_bundle=/a#b;c\r\noutput =\r\n")
    let profile = try #require(try home.shared().profile("lab"))
    #expect(profile["region"] == "us-west-2")
    #expect(profile["ca_bundle"] == "/a#b;c")
    #expect(profile["output"] == nil)
  }

  @Test func `a quoted name may hold spaces`() throws {
    let home = try TemporaryHome(config: "[profile \"my lab\"]\nregion = r\n[profile 'other']\nregion = s\n")
    let shared = try home.shared()
    #expect(shared.profileNames == ["my lab", "other"])
  }

  @Test func `deeper lines nest below an empty setting and continue a full one`() throws {
    let home = try TemporaryHome(
      config: """
        [profile lab]
        s3 =
            addressing_style = path
            # a comment
            endpoint_url = http://nested
        text = one
          two = 2
        region = r
        """)
    let profile = try #require(try home.shared().profile("lab"))
    #expect(profile["s3", "addressing_style"] == "path")
    #expect(profile["s3", "endpoint_url"] == "http://nested")
    #expect(profile["addressing_style"] == nil)
    #expect(profile["text"] == "one\ntwo = 2")
    #expect(profile["region"] == "r")
  }

  @Test func `settings that are all indented alike are settings of their own`() throws {
    let home = try TemporaryHome(
      config: "[profile lab]\n  region = r\n  output = json\n  [profile b]\n  region = s\n")
    let shared = try home.shared()
    #expect(shared.profile("lab")?["region"] == "r")
    #expect(shared.profile("lab")?["output"] == "json")
    #expect(shared.profile("b")?["region"] == "s")
  }

  @Test func `the prefixed default profile wins outright`() throws {
    let home = try TemporaryHome(
      config: "[profile default]\nregion = prefixed\n[default]\nregion = plain\noutput = json\n")
    let profile = try #require(try home.shared().profile("default"))
    #expect(profile["region"] == "prefixed")
    #expect(profile["output"] == nil)
  }

  @Test func `sections of one name are merged and the later setting counts`() throws {
    let home = try TemporaryHome(config: "[profile a]\nregion = 1\noutput = x\n[profile a]\nregion = 2\n")
    let profile = try #require(try home.shared().profile("a"))
    #expect(profile["region"] == "2")
    #expect(profile["output"] == "x")
  }

  @Test func `files that do not exist are empty`() throws {
    #expect(try TemporaryHome().shared().profileNames == [])
  }

  @Test func `the environment names other files`() throws {
    let home = try TemporaryHome(config: "[profile hidden]\nregion = r\n")
    try home.write("[profile shown]\nregion = r\n", to: "conf")
    try home.write("[keyed]\naws_access_key_id = A\n", to: "cred")
    let shared = try home.shared(environment: [
      "AWS_CONFIG_FILE": "~/conf", "AWS_SHARED_CREDENTIALS_FILE": home.path + "/cred",
    ])
    #expect(shared.profileNames == ["keyed", "shown"])
  }

  @Test func `a file that cannot be read is an error that names it`() throws {
    let home = try TemporaryHome()
    try FileManager.default.createDirectory(
      atPath: home.path + "/.aws/config", withIntermediateDirectories: true)
    let error = try #require(throws: ConfigurationError.self) { try home.shared() }
    #expect(error.subject == home.path + "/.aws/config")
  }

  @Test(arguments: [
    "region = r\n", "[profile a\nregion = r\n", "[]\n", "['']\n", "[profile \"\"]\n",
    "[profile a]\n\nverySecretIndeed\n",
    "[profile a]\ns3 =\n  verySecretIndeed\n", "[profile a]\n= verySecretIndeed\n",
  ])
  func `a malformed line is named by number, its text is not shown`(text: String) throws {
    let home = try TemporaryHome(credentials: text)
    let error = try #require(throws: ConfigurationError.self) { try home.shared() }
    #expect(error.subject.hasPrefix(home.path + "/.aws/credentials, line "))
    #expect(!error.description.contains("verySecretIndeed"))
  }

  @Test func `a profile shows its name and no secret`() throws {
    let home = try TemporaryHome(credentials: "[lab]\naws_secret_access_key = verySecretIndeed\n")
    let shared = try home.shared()
    var text = ""
    dump(shared, to: &text)
    dump(shared.profile("lab"), to: &text)
    text += "\(shared) \(String(describing: shared.profile("lab")))"
    #expect(text.contains("lab"))
    #expect(!text.contains("verySecretIndeed"))
  }
}
