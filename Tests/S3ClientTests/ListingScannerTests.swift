import HTTPTransport
import Testing

@testable import S3Client

@Suite struct ListingScannerTests {
  private static let head = """
    <?xml version="1.0" encoding="UTF-8"?>
    <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/>
    """
  private static func document(_ content: String) -> String {
    let end = content.contains("<IsTruncated>") ? "" : "<IsTruncated>false</IsTruncated>"
    return head + content + end + "</ListBucketResult>"
  }

  private static func object(_ key: String, etag: String = "&quot;abc-2&quot;") -> String {
    "<Contents><Key>\(key)</Key><LastModified>2026-01-31T12:00:00.000Z</LastModified><ETag>\(etag)</ETag>"
      + "<Size> 7 </Size><Owner><ID>o</ID><DisplayName>a&gt;b</DisplayName></Owner></Contents>"
  }

  static let readable = [
    document(""),
    document("<IsTruncated>false</IsTruncated>" + object("a")),
    document("<EncodingType>url</EncodingType>" + object("a+b%2Bc%C3%A9") + object("%FF") + object("x%")),
    // The encoding may be said after the keys.
    document(object("a+b") + "<EncodingType>url</EncodingType>"),
    document(object("plain+key &amp; &lt;tag&gt; &#233;&#xE9; \u{1F600} ")),
    document("<IsTruncated> true\n</IsTruncated><NextContinuationToken>t&amp;1=</NextContinuationToken>"),
    document("<NextContinuationToken></NextContinuationToken>"),
    document(
      "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"
    ),
    document(object("a", etag: "abc") + object("b", etag: "\"abc\"") + object("c", etag: "&#34;abc&#34;")),
    document(object("a", etag: "") + object("b", etag: "&amp;quot;abc&amp;quot;")),
    document("<Contents at='a > b'><Key>k</Key><Size>1</Size><Checksum><A/><B>c</B></Checksum></Contents>"),
    "  \n" + document(object("late start")),
  ]

  /// What only the general parser may decide upon.
  static let unknown = [
    document("<Contents><Key><![CDATA[a<b]]></Key><Size>1</Size></Contents>"),
    document("<Contents><Key>a<!-- b --></Key><Size>1</Size></Contents>"),
    "<s3:ListBucketResult xmlns:s3=\"x\"><s3:Contents><s3:Key>a</s3:Key><s3:Size>1</s3:Size></s3:Contents></s3:ListBucketResult>",
    document("<Contents><Key>a\r\nb</Key><Size>1</Size></Contents>"),
    document("<Contents><Key>a</Key></Contents>"),
    document("<Contents><Key>a</Key><Size>x</Size></Contents>"),
    document("<Contents><Key>&unknown;</Key><Size>1</Size></Contents>"),
    document("<Contents><Key>a</Size></Contents>"),
    head + object("a") + "</ListBucketResult>", document("<IsTruncated>maybe</IsTruncated>"),
    head + object("cut"), "", "<Error><Code>SlowDown</Code></Error>", "not XML",
  ]

  private func response(_ text: String) -> S3Response {
    S3Response(bucket: "b", key: nil, http: HTTPResponse(status: 200, body: Array(text.utf8)))
  }

  @Test(arguments: readable) func `the scanner reads what the general parser reads`(text: String) throws {
    let scanned = try #require(ListingScanner.page(Array(text.utf8)))
    let parsed = try ListObjectsV2().parsedOutput(from: response(text))
    #expect(String(describing: scanned) == String(describing: parsed))
  }

  @Test(arguments: unknown) func `the scanner leaves the rest to the general parser`(text: String) {
    #expect(ListingScanner.page(Array(text.utf8)) == nil)
  }

  @Test func `a page cut anywhere is never taken for a whole one`() {
    let bytes = Array(Self.document("<IsTruncated>true</IsTruncated>" + Self.object("a")).utf8)
    for count in 0..<bytes.count { #expect(ListingScanner.page(Array(bytes[..<count])) == nil) }
  }
}
