import CZlib
import Digests
import Testing

@Suite struct CRC32Tests {
  @Test func `the check value is that of the catalogue`() {
    // "123456789" is the check message of every catalogued CRC.
    #expect(CRC32(Array("123456789".utf8)).value == 0xcbf4_3926)
    #expect(CRC32(Array("123456789".utf8)).base64 == "y/Q5Jg==")
    #expect(CRC32().value == 0)
    #expect(CRC32().base64 == "AAAAAA==")
  }

  @Test(arguments: [0, 1, 4096, 65_535, 100_000])
  func `two halves combine to the whole`(cut: Int) {
    let message = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    let left = CRC32(Array(message[..<cut]))
    let right = CRC32(Array(message[cut...]))
    #expect(left.combined(with: right, byteCount: Int64(message.count - cut)) == CRC32(message))
  }

  @Test func `lengths beyond 4 GiB are not cut to 32 bits`() {
    // Appending n zero bytes can be done in two steps; a length taken modulo 2^32 would make the first step nothing.
    let zeroMiB = CRC32([UInt8](repeating: 0, count: 1 << 20))
    var zeros = zeroMiB
    for doubling in 20..<33 { zeros = zeros.combined(with: zeros, byteCount: 1 << doubling) }
    let start = CRC32(Array("x".utf8))
    let long = start.combined(with: zeros, byteCount: 1 << 33)
    var stepped = start
    for _ in 0..<(1 << 13) { stepped = stepped.combined(with: zeroMiB, byteCount: 1 << 20) }
    #expect(long == stepped)
    #expect(long != start)
  }

  @Test func `updating in pieces is updating at once`() {
    var crc = CRC32()
    crc.update(Array("1234".utf8))
    crc.update([])
    crc.update(Array("56789".utf8))
    #expect(crc.value == 0xcbf4_3926)
  }

  @Test func `long stretches have zlib's own value, whatever their length, place and what came before`() {
    var random = SystemRandomNumberGenerator()
    let message = (0..<5_000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    let lengths = Array(0..<400) + [511, 512, 513, 1_023, 4_096, 4_900]
    for length in lengths {
      let start = UInt32.random(in: .min ... .max, using: &random)
      let place = Int.random(in: 0...(message.count - length), using: &random)
      let piece = Array(message[place..<(place + length)])
      var crc = CRC32(value: start)
      crc.update(piece)
      #expect(crc.value == UInt32(crc32_z(UInt(start), piece, piece.count)), "\(start), \(piece)")
    }
  }

  @Test func `the header form reads back, and a composite one is refused`() {
    #expect(CRC32(base64: "y/Q5Jg==") == CRC32(Array("123456789".utf8)))
    #expect(CRC32(base64: "y/Q5Jg==-3") == nil)
    #expect(CRC32(base64: "y/Q5JgA=") == nil)
    #expect(CRC32(base64: "") == nil)
  }
}
