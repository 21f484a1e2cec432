import MirrorModel
import Testing

@Suite struct S3LocationTests {
  @Test(
    arguments: [
      ("s3://bucket", nil, "bucket", ""),
      ("s3://bucket/", nil, "bucket", ""),
      ("s3://bucket/data", nil, "bucket", "data"),
      ("s3://bucket/data/", nil, "bucket", "data/"),
      ("s3://bucket//data", nil, "bucket", "/data"),
      ("s3://bucket/a b+c%d&e#f?g", nil, "bucket", "a b+c%d&e#f?g"),
      ("s3://work@bucket/data", "work", "bucket", "data"),
      ("s3://me@home@bucket/data", "me@home", "bucket", "data"),
      ("s3://bucket/me@home", nil, "bucket", "me@home"),
      ("s3://Old_Bucket.name/x", nil, "Old_Bucket.name", "x"),
    ] as [(String, String?, String, String)])
  func `a URL is taken apart as written`(text: String, profile: String?, bucket: String, key: String) throws {
    let location = try S3Location(parsing: text)
    #expect(location == S3Location(profile: profile, bucket: bucket, key: key))
  }

  @Test(arguments: [
    ("gs://bucket/x", "its scheme is not s3"), ("S3://bucket/x", "its scheme is not s3"),
    ("bucket/x", "it does not begin with s3://; write s3://bucket/x"), ("./x", "it is a local path"),
    ("s3:/bucket/x", "it lacks a slash; write s3://bucket/x"), ("s3:bucket", "write s3://bucket"),
    ("file:/x", "its scheme is not s3"), ("", "it is empty"),
    ("s3://", "it names no bucket"), ("s3:///key", "it names no bucket"),
    ("s3://p@/key", "it names no bucket"),
    ("s3://@bucket/x", "the profile before @ is empty"),
    ("s3://ab/x", "is no bucket name"), ("s3://my bucket/x", "is no bucket name"),
    ("s3://b\u{fc}cket/x", "is no bucket name"),
  ])
  func `a URL that is no remote is refused with the reason`(text: String, reason: String) throws {
    let error = try #require(throws: S3LocationError.self) { try S3Location(parsing: text) }
    #expect(error.description.contains("\"\(text)\""))
    #expect(error.reason.contains(reason))
  }

  @Test func `a key has at most 1,024 bytes`() throws {
    let longest = String(repeating: "\u{e9}", count: 512)
    #expect(try S3Location(parsing: "s3://bucket/" + longest).key.utf8.count == 1024)
    #expect(throws: S3LocationError.self) { try S3Location(parsing: "s3://bucket/x" + longest) }
  }

  @Test func `NFC and NFD keys stay apart`() throws {
    let composed = try S3Location(parsing: "s3://bucket/caf\u{e9}")
    let decomposed = try S3Location(parsing: "s3://bucket/cafe\u{301}")
    #expect(Array(composed.key.utf8) != Array(decomposed.key.utf8))
    #expect(!composed.overlaps(decomposed))
  }

  @Test(arguments: [
    "/", "/x", "//x", ".", "..", "~", "./x", "../x", "~/x", "./\u{301}x", "/gs://x", "./a:b",
  ])
  func `what begins as a path does is a local path`(text: String) throws {
    #expect(try RemoteReference(parsing: text) == .local(text))
  }

  @Test(arguments: [
    ("bucket/x", "write s3://bucket/x, or ./bucket/x for a local path"), ("x", "./x for a local path"),
    (".x", "./.x for a local path"), ("...", "./... for a local path"), ("~other/x", "./~other/x"),
    ("", "it is empty; write s3://bucket/key"),
    ("gs://bucket/x", "its scheme is not s3; write s3://bucket/key"),
    ("S3://bucket/x", "its scheme is not s3"), ("host:x", "its scheme is not s3"),
    ("s3:/bucket/x", "it lacks a slash; write s3://bucket/x"), ("\u{301}/x", "for a local path"),
  ])
  func `a remote that is neither a URL of s3 nor a path is refused with the cure`(
    text: String, reason: String
  ) throws {
    let error = try #require(throws: S3LocationError.self) { try RemoteReference(parsing: text) }
    #expect(error.reason.contains(reason), "\(error.reason)")
  }

  @Test func `a remote on S3 is a location`() throws {
    #expect(
      try RemoteReference(parsing: "s3://bucket/x") == .s3(S3Location(bucket: "bucket", key: "x")))
  }

  @Test(arguments: [
    ("a", "a", true), ("a", "a/", true), ("a", "a/x", true), ("a/", "a/x/y", true), ("a", "ab", false),
    ("a/x", "a/y", false), ("", "a", true), ("", "", true), ("a/b", "a", true), ("a", "a//x", true),
  ])
  func `locations overlap when one lies within the other`(left: String, right: String, expected: Bool) {
    let one = S3Location(bucket: "bucket", key: left)
    let two = S3Location(profile: "other", bucket: "bucket", key: right)
    #expect(one.overlaps(two) == expected)
    #expect(two.overlaps(one) == expected)
    #expect(!one.overlaps(S3Location(bucket: "elsewhere", key: right)))
  }

  @Test func `a key is a prefix with one slash at its end, or the whole bucket`() {
    #expect(S3Location(bucket: "bucket", key: "data").prefix == "data/")
    #expect(S3Location(bucket: "bucket", key: "data/").prefix == "data/")
    #expect(S3Location(bucket: "bucket", key: "").prefix.isEmpty)
    // U+0600 joins the slash into one Character; only bytes tell.
    #expect(S3Location(bucket: "bucket", key: "a\u{600}/").isExplicitPrefix)
  }
}
