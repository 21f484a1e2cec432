import Testing

@testable import HTTPTransport

@Suite struct ContactTests {
  @Test(arguments: [
    ("https://s3.example/bucket/key", "s3.example", false),
    ("http://127.0.0.1:9000?list-type=2", "127.0.0.1:9000", true),
    ("https://user:word@bucket.example:8443/a@b", "bucket.example:8443", false),
    ("https://[::1]:9000#x", "[::1]:9000", true),
    ("http://localhost", "localhost", true),
  ])
  func `a URL's server is found`(url: String, authority: String, isDirect: Bool) throws {
    let contact = try #require(Contact(of: url))
    #expect(contact.authority == authority)
    #expect(contact.isDirect == isDirect)
    #expect(contact.isContacted(by: url))
  }

  @Test(arguments: ["ftp://host/", "host/key", "", "http:/host"])
  func `other schemes name no server`(url: String) {
    #expect(Contact(of: url) == nil)
  }

  @Test(arguments: [
    ("http://s3.example/a", true), ("http://s3.example", true), ("http://s3.example?b", true),
    ("http://s3.example.org/a", false), ("http://s3.example:80/a", false), ("https://s3.example/a", false),
    ("http://s3.exampl", false), ("http://other@s3.example/a", false),
  ])
  func `another server is not taken for the last one`(url: String, isSame: Bool) throws {
    #expect(try #require(Contact(of: "http://s3.example/key")).isContacted(by: url) == isSame)
  }
}
