import S3Client
import Testing

@Suite struct S3DateTests {
  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0),
    ("2009-10-12T17:50:30.000Z", 1_255_369_830_000_000_000),
    ("2024-02-29T12:00:00.5Z", 1_709_208_000_500_000_000),
    ("2024-02-29T12:00:00.123456789Z", 1_709_208_000_123_456_789),
    ("2024-02-29T14:00:00+02:00", 1_709_208_000_000_000_000),
    ("2000-03-01T00:00:00Z", 951_868_800_000_000_000),
    ("2026-12-31T23:59:59.999Z", 1_798_761_599_999_000_000),
  ])
  func `ISO 8601 is read with any fraction and offset`(text: String, nanoseconds: Int) {
    #expect(S3Date.nanoseconds(iso8601: text) == Int64(nanoseconds))
  }

  @Test(arguments: [
    "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    "Sun, 06 Nov 1994 08:49:37 UTC",
  ])
  func `the three HTTP dates of RFC 9110 are one instant`(text: String) {
    #expect(S3Date.nanoseconds(httpDate: text) == 784_111_777_000_000_000)
  }

  @Test(arguments: [
    "", "yesterday", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "2024-01-01",
    "2024-01-01T00:00:00Zx", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "Mon, 01 Jan 1700 00:00:00 GMT", "Fri, 21 Sep 1677 00:12:44 GMT",
  ])
  func `what is no date is nil`(text: String) {
    #expect(S3Date.nanoseconds(iso8601: text) == nil)
    #expect(S3Date.nanoseconds(httpDate: text) == nil)
  }

  @Test(arguments: [0, 951_782_400, 1_709_208_000, 4_107_542_400, 1_798_761_599])
  func `a written date is read back`(seconds: Int) {
    let nanoseconds = Int64(seconds) * 1_000_000_000
    #expect(S3Date.nanoseconds(httpDate: S3Date.httpDate(nanoseconds: nanoseconds)) == nanoseconds)
    let precise = nanoseconds + 7_000_000
    #expect(S3Date.nanoseconds(iso8601: S3Date.iso8601(nanoseconds: precise)) == precise)
  }

  @Test func `an HTTP date has RFC 9110's spelling`() {
    #expect(S3Date.httpDate(nanoseconds: 784_111_777_999_999_999) == "Sun, 06 Nov 1994 08:49:37 GMT")
  }
}

@Suite struct ETagTests {
  @Test(arguments: [
    "abc", "\"abc\"", "&#34;abc&#34;", "&quot;abc&quot;", "W/\"abc\"",
  ])
  func `every spelling is one bare tag`(text: String) {
    #expect(ETag.bare(text) == "abc")
    #expect(ETag.quoted(text) == "\"abc\"")
  }

  @Test func `only 32 hexadecimal digits may be an MD5`() {
    let digits = "900150983CD24FB0D6963F7D28E17F72"
    #expect(ETag.md5(digits) == "900150983cd24fb0d6963f7d28e17f72")
    #expect(ETag.md5(digits + "-2") == nil)
    #expect(ETag.md5("abc") == nil)
    #expect(ETag.md5("zz0150983cd24fb0d6963f7d28e17f72") == nil)
  }
}

@Suite struct XMLTreeTests {
  @Test func `white space before the declaration, prefixes, CDATA and references are understood`() throws {
    let text =
      " \n \n<?xml version=\"1.0\"?><s3:A xmlns:s3=\"x\"><s3:B> a&amp;b&#34; </s3:B><C><![CDATA[<c>]]></C></s3:A>"
    let tree = try XMLTree.parsing(Array(text.utf8)).get()
    #expect(tree.name == "A")
    #expect(tree.text(of: "B") == " a&b\" ")
    #expect(tree.text(of: "C") == "<c>")
  }

  @Test func `a document that declares entities is none`() {
    let document = #"<!DOCTYPE A [<!ENTITY x SYSTEM "file:///etc/passwd">]><A>&x;</A>"#
    #expect(throws: XMLTree.Fault.self) { try XMLTree.parsing(Array(document.utf8)).get() }
  }

  @Test func `a document that is too deep is none`() {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "<A>", count: depth) + String(repeating: "</A>", count: depth)).utf8)
    }
    #expect(throws: Never.self) { try XMLTree.parsing(nested(100)).get() }
    for depth in [101, 1_000_000] {
      #expect(throws: XMLTree.Fault.self) { try XMLTree.parsing(nested(depth)).get() }
    }
  }

  @Test(arguments: [
    ("a\u{8}b", "a\u{8}b"), ("a&#8;b", "a\u{8}b"), ("a&#x8;b&#x0008;", "a\u{8}b\u{8}"), ("&#0;", "\0"),
    ("a\u{fffe}&#xFFFF;", "a\u{fffe}\u{ffff}"),
    // The mark that carries them is itself, with and without them beside it.
    ("\u{10FFFD}8;", "\u{10FFFD}8;"), ("\u{10FFFD}8;\u{8}&#x10FFFD;", "\u{10FFFD}8;\u{8}\u{10FFFD}"),
    ("<![CDATA[&#8;\u{8}<]]>", "&#8;\u{8}<"), ("&amp;#8;\u{8}", "&#8;\u{8}"),
  ])
  func `what XML 1.0 forbids is read as what it stands for`(written: String, read: String) throws {
    let tree = try XMLTree.parsing(Array("<A><B>\(written)</B><C>after</C></A>".utf8)).get()
    #expect(tree.text(of: "B").map { Array($0.utf8) } == Array(read.utf8))
    #expect(tree["B"]?.isDamaged == false)
    #expect(tree.text(of: "C") == "after")
  }

  @Test func `what is no character is damage, and its neighbours are not`() throws {
    for written in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], Array("&#xD800;".utf8), Array("&#x110000;".utf8)] {
      let document = Array("<A><B>a".utf8) + written + Array("b</B><C>\u{e9}\u{8}</C></A>".utf8)
      let tree = try XMLTree.parsing(document).get()
      #expect(tree["B"]?.isDamaged == true)
      #expect(tree.text(of: "C") == "\u{e9}\u{8}")
      #expect(tree["C"]?.isDamaged == false)
    }
  }

  @Test func `forbidden characters excuse nothing else`() {
    for text in ["<A>\u{8}<B></A>", "<A\u{8}/>", "<!DOCTYPE A [<!ENTITY x '&#8;'>]><A>&x;</A>", "\u{8}"] {
      #expect(throws: XMLTree.Fault.self) { try XMLTree.parsing(Array(text.utf8)).get() }
    }
  }

  @Test(arguments: ["", "  \n", "plain", "<A><B></A>", "<A>", "<html><body><br>no</body></html>"])
  func `what is not whole XML is a fault`(text: String) {
    #expect(throws: XMLTree.Fault.self) { try XMLTree.parsing(Array(text.utf8)).get() }
  }

  @Test(arguments: [
    "a b", "a+b", "<&>\"'", "caf\u{e9}", "cafe\u{301}", "\u{1F600}", "tab\tcr\rlf\n", " edges ", "]]>",
  ])
  func `text that is written is read back byte for byte`(text: String) throws {
    #expect(RequestDocument.canCarry(text))
    var document = RequestDocument(root: "Root")
    document.element("Key", text)
    document.close("Root")
    let back = try #require(try XMLTree.parsing(document.bytes).get().text(of: "Key"))
    #expect(Array(back.utf8) == Array(text.utf8))
  }

  @Test func `characters outside XML 1.0 are told apart`() {
    #expect(!RequestDocument.canCarry("a\u{1}"))
    #expect(!RequestDocument.canCarry("a\u{fffe}"))
    #expect(!DeleteObjects.canCarry("a\u{1}"))
    #expect(!DeleteObjects.canCarry("a\r"))
    #expect(DeleteObjects.canCarry("a\u{1F600} +%&#\"'"))
  }
}
