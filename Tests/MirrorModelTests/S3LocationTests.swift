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
    ("bucket/x", "its scheme is not s3"), ("s3:/bucket", "its scheme is not s3"),
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
    ("s3://b/x", true), ("gs://b/x", true), ("http+unix://x", true), ("./a", false), ("a:b", false),
    ("://x", false), ("3s://x", false), ("a b://x", false), ("", false),
  ])
  func `text with a URL scheme is no path`(text: String, expected: Bool) {
    #expect(S3Location.hasScheme(text) == expected)
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
