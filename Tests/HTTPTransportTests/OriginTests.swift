import Testing

@testable import HTTPTransport

@Suite struct OriginTests {
  @Test(arguments: [
    ("https://s3.example/bucket/key", "s3.example", false),
    ("http://127.0.0.1:9000?list-type=2", "127.0.0.1:9000", true),
    ("https://user:word@bucket.example:8443/a@b", "bucket.example:8443", false),
    ("https://[::1]:9000#x", "[::1]:9000", true),
    ("http://localhost", "localhost", true),
  ])
  func `a URL's server is found`(url: String, authority: String, isDirect: Bool) throws {
    let origin = try #require(Origin(of: url))
    #expect(origin.authority == authority)
    #expect(origin.isDirect == isDirect)
    #expect(origin.isOrigin(of: url))
  }

  @Test(arguments: ["ftp://host/", "host/key", "", "http:/host"])
  func `other schemes name no server`(url: String) {
    #expect(Origin(of: url) == nil)
  }

  @Test(arguments: [
    ("http://s3.example/a", true), ("http://s3.example", true), ("http://s3.example?b", true),
    ("http://s3.example.org/a", false), ("http://s3.example:80/a", false), ("https://s3.example/a", false),
    ("http://s3.exampl", false), ("http://other@s3.example/a", false),
  ])
  func `another server is not taken for the last one`(url: String, isSame: Bool) throws {
    #expect(try #require(Origin(of: "http://s3.example/key")).isOrigin(of: url) == isSame)
  }
}
