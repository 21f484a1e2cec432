import Digests
import Testing

@Suite struct MessageDigestTests {
  // FIPS 180-4 examples (NIST's "abc" and the empty message).
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
  ])
  func `SHA-256 gives the published digests`(message: String, expected: String) {
    #expect(hexadecimal(sha256(Array(message.utf8))) == expected)
  }

  // RFC 1321, A.5.
  @Test(arguments: [
    ("", "d41d8cd98f00b204e9800998ecf8427e"),
    ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
  ])
  func `MD5 gives the published digests`(message: String, expected: String) {
    #expect(hexadecimal(md5(Array(message.utf8))) == expected)
  }

  @Test func `a digest taken in pieces is the digest of the whole`() {
    let message = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let sha = SHA256Hasher()
    let md = MD5Hasher()
    for start in stride(from: 0, to: message.count, by: 777) {
      let piece = Array(message[start..<min(start + 777, message.count)])
      sha.update(piece)
      md.update(piece)
    }
    #expect(sha.finish() == sha256(message))
    #expect(md.finish() == md5(message))
  }

  @Test func `a hasher starts anew after its digest`() {
    let hasher = SHA256Hasher()
    hasher.update(Array("something".utf8))
    _ = hasher.finish()
    hasher.update(Array("abc".utf8))
    #expect(hasher.finish() == sha256(Array("abc".utf8)))
  }

  // RFC 4231, test cases 1, 2 and 6 (a key longer than a block).
  @Test(arguments: [
    (
      [UInt8](repeating: 0x0b, count: 20), "Hi There",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    ),
    (
      Array("Jefe".utf8), "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ),
    (
      [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    ),
  ])
  func `HMAC gives RFC 4231's codes`(key: [UInt8], message: String, expected: String) {
    #expect(hexadecimal(HMACKey(key).code(of: Array(message.utf8))) == expected)
  }

  @Test func `HMAC takes an empty key and an empty message`() {
    _ = HMACKey(Array("an earlier key".utf8)).code(of: [1])
    #expect(
      hexadecimal(HMACKey([]).code(of: [] as [UInt8]))
        == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
  }

  @Test func `a keyed digest tells contents apart, in pieces too`() {
    // Records that each end in their own CRC-32 have one CRC-32, whatever is in them.
    func records(_ filler: UInt8) -> [UInt8] {
      let body = [UInt8](repeating: filler, count: 60)
      let sum = CRC32(body).value
      return (0..<100).flatMap { _ in body + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) } }
    }
    #expect(CRC32(records(1)).value == CRC32(records(2)).value)
    let hasher = KeyedHasher()
    func digest(_ bytes: [UInt8], pieces: Int = 1) -> [UInt8] {
      for start in stride(from: 0, to: bytes.count, by: bytes.count / pieces) {
        hasher.update(Array(bytes[start..<min(start + bytes.count / pieces, bytes.count)]))
      }
      return hasher.finish()
    }
    #expect(digest(records(1)) == digest(records(1), pieces: 16))
    #expect(digest(records(1)) == digest(records(1), pieces: 7))
    #expect(digest(records(1)) != digest(records(2)))
    #expect(digest(records(1)) != digest(records(1) + [0]))
    #expect(digest(records(1)).count == KeyedHasher.byteCount)
    // Another hasher of this process has the same key.
    let other = KeyedHasher()
    other.update(records(2))
    #expect(other.finish() == digest(records(2)))
  }
}
