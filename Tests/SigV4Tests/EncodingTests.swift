import SigV4
import Testing

@Suite struct URIEncodingTests {
  @Test(arguments: [
    ("a b", "a%20b"), ("a+b", "a%2Bb"), ("a%20b", "a%2520b"), ("a/b", "a/b"), ("~-._", "~-._"),
    ("caf\u{e9}", "caf%C3%A9"), ("cafe\u{301}", "cafe%CC%81"), ("?#&=\"'", "%3F%23%26%3D%22%27"),
    ("😀", "%F0%9F%98%80"), ("*()!", "%2A%28%29%21"), ("\u{7f}\u{1}", "%7F%01"),
  ])
  func `a path is escaped byte by byte`(text: String, encoded: String) {
    #expect(uriEncode(text, as: .path) == encoded)
  }

  @Test func `a slash is escaped in the query only`() {
    #expect(uriEncode("a/b c", as: .path) == "a/b%20c")
    #expect(uriEncode("a/b c", as: .query) == "a%2Fb%20c")
  }

  @Test func `the query is in the order of encoded names, then values`() {
    #expect(canonicalQuery([("a-b", "1"), ("a", "2")]) == "a=2&a-b=1")
    #expect(canonicalQuery([("a", "c"), ("a", "b"), ("A", "z")]) == "A=z&a=b&a=c")
    // Encoded, é begins with %, which comes before every letter; unencoded it would come after.
    #expect(canonicalQuery([("a", "1"), ("\u{e9}", "2")]) == "%C3%A9=2&a=1")
    // Canonically equivalent names are different names.
    #expect(
      canonicalQuery([("\u{e9}", "1"), ("e\u{301}", "2"), ("\u{e9}", "0")]) == "%C3%A9=0&%C3%A9=1&e%CC%81=2")
    #expect(canonicalQuery([]) == "")
  }
}

@Suite struct SigningTimeTests {
  @Test(
    arguments: [
      (0, "19700101T000000Z"), (1_369_353_600, "20130524T000000Z"), (951_782_399, "20000228T235959Z"),
      (951_782_400, "20000229T000000Z"), (951_868_800, "20000301T000000Z"),
      (1_709_164_799, "20240228T235959Z"),
      (1_735_689_599, "20241231T235959Z"), (4_107_542_400, "21000301T000000Z"),
      (4_107_542_399, "21000228T235959Z"),
      (-1, "19691231T235959Z"), (253_402_300_799, "99991231T235959Z"),
    ] as [(Int64, String)])
  func `seconds since 1970 become the UTC timestamp`(seconds: Int64, timestamp: String) {
    let time = SigningTime(secondsSince1970: seconds)
    #expect(time.timestamp == timestamp)
    #expect(time.date == timestamp.prefix(8))
  }
}
