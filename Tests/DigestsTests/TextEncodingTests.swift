import Digests
import Testing

@Suite struct TextEncodingTests {
  // RFC 4648 §10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy"),
  ])
  func `base64 goes both ways`(plain: String, encoded: String) {
    #expect(base64(Array(plain.utf8)) == encoded)
    #expect(decodeBase64(encoded) == Array(plain.utf8))
  }

  @Test func `every byte survives both encodings`() {
    let all = Array(UInt8.min...UInt8.max)
    #expect(decodeBase64(base64(all)) == all)
    #expect(decodeHexadecimal(hexadecimal(all)) == all)
  }

  @Test(arguments: ["Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zh==", "Zm9=", "Zm 8=", "Zm-_"])
  func `what is not padded base64 is refused`(text: String) {
    #expect(decodeBase64(text) == nil)
  }

  @Test func `hexadecimal is written in lower case and read in either`() {
    #expect(hexadecimal([0x00, 0x0f, 0xa5, 0xff]) == "000fa5ff")
    #expect(decodeHexadecimal("000FA5ff") == [0x00, 0x0f, 0xa5, 0xff])
  }

  @Test(arguments: ["0", "0g", "0x00", " 00"])
  func `what is not hexadecimal is refused`(text: String) {
    #expect(decodeHexadecimal(text) == nil)
  }
}
