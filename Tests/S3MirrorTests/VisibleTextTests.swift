import Foundation
import TestSupport
import Testing

@testable import S3Mirror

/// Text of others' making on a terminal and in a log.
@Suite struct VisibleTextTests {
  @Test(
    .promise("SAY-4"),
    arguments: [
      ("plain \u{e9} \u{1F600} a\\b", "plain \u{e9} \u{1F600} a\\b"), ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
      ("\u{1b}[31m", "\\x1b[31m"), ("\u{0}\u{7}\u{8}\u{7f}", "\\x00\\x07\\x08\\x7f"),
      ("\u{9b}2J\u{85}", "\\x9b2J\\x85"), ("gpj.\u{202e}exe", "gpj.\\u202eexe"),
      ("\u{61c}\u{200e}\u{200f}\u{2066}\u{2069}", "\\u061c\\u200e\\u200f\\u2066\\u2069"),
      ("\u{2028}\u{2029}", "\\u2028\\u2029"),
      // A sign that joins what is before it hides nothing.
      ("a\r\nb\u{301}\n\u{301}", "a\\r\\nb\u{301}\\n\u{301}"), ("", ""),
    ])
  func `control characters and line breaks are shown as text`(_ text: String, _ expected: String) {
    let shown = visible(text)
    #expect(shown.unicodeScalars.elementsEqual(expected.unicodeScalars), "\(shown.debugDescription)")
    #expect(visible(shown).unicodeScalars.elementsEqual(shown.unicodeScalars))
  }

  @Test(.promise("SAY-4"))
  func `JSON keeps its value`() throws {
    let text = (0...0x2100).compactMap(Unicode.Scalar.init).map(String.init).joined()
    let json = visible(json: String(decoding: try JSONEncoder().encode([text]), as: UTF8.self))
    #expect(try JSONDecoder().decode([String].self, from: Data(json.utf8)) == [text])
    #expect(visible(json).unicodeScalars.elementsEqual(json.unicodeScalars))
  }
}
