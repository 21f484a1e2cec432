import Testing

@testable import TransferLog

@Suite struct KeyPatternTests {
  @Test(arguments: [
    ("step-1", "step-10/a", true), ("step-1", "x/step-1", false), ("", "anything", true),
    ("*.pt", "a/b/model.pt", true), ("*.pt", "model.pt.tmp", false), ("a/*", "a/", true),
    ("a/*", "ab", false),
    ("*a*b", "xaxbxaxb", true), ("*a*b", "xaxbxax", false), ("**x", "x", true),
    ("?", "é", true), ("?", "ab", false), ("caf?", "caf\u{e9}", true), ("caf?", "cafe\u{301}", false),
    ("[a-c]1", "b1", true), ("[a-c]1", "d1", false), ("[!a-c]1", "d1", true), ("[!a-c]1", "é1", true),
    ("[]]x", "]x", true), ("[a-]x", "-x", true), ("[ab", "[abc", true), ("\\*", "*x", true),
    ("\\*", "ax", false),
    ("caf\u{e9}", "cafe\u{301}", false), ("s3://b/*/x", "s3://b/k/l/x", true),
  ])
  func `a pattern is a prefix, or a glob that spans slashes`(pattern: String, text: String, expected: Bool) {
    #expect(KeyPattern(pattern).matches(text) == expected)
  }

  @Test func `a record is found by its path or its URL`() {
    var record = TransferRecord.numbered(1)
    record.url = "s3://bucket/outputs/step-1"
    #expect(TransferLogFilter(key: KeyPattern("step")).accepts(record))
    #expect(TransferLogFilter(key: KeyPattern("s3://bucket/outputs/")).accepts(record))
    #expect(!TransferLogFilter(key: KeyPattern("outputs")).accepts(record))
    record.path = nil
    #expect(!TransferLogFilter(key: KeyPattern("step")).accepts(record))
  }
}
