import Testing

@testable import Credentials

/// The parser of the shared files against damaged ones.
@Suite struct ConfigurationFileFuzzTests {
  private static let secret = "verySecretIndeed"
  private static let seeds = [
    "[default]\nregion = eu-west-1\n[profile lab]\ns3 =\n  addressing_style = path\n  max = 1\naws_secret_access_key = \(secret)\n",
    "\u{feff}# c\r\n[ profile   'a b' ] ; why\r\nREGION\t=  us-west-2 # near\r\n  deeper\r\n",
    "[services x]\ns3 =\n  endpoint_url = https://h\nsts =\n  endpoint_url = https://i\n[]\n[a]b]\n=\n = x\n",
    "[a]\nx = 1\n y = 2\n\t z\n[a]\nx =\n y = \(secret)\n",
  ]
  /// What matters to the parser, and what must not.
  private static let pieces = [
    "[", "]", "=", "\n", "\r", " ", "\t", "#", ";", "\"", "'", "\0", "\u{e9}", "\u{feff}", "profile ",
  ]

  /// SplitMix64 (Steele, Lea and Flood, 2014): the same cases for the same seed.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
      return mixed ^ (mixed >> 31)
    }
  }

  private func damaged(_ seed: String, _ random: inout Generator) -> [UInt8] {
    var bytes = Array(seed.utf8)
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let place = Int.random(in: 0...bytes.count, using: &random)
      let end = min(bytes.count, place + Int.random(in: 0...8, using: &random))
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        bytes.insert(contentsOf: Self.pieces.randomElement(using: &random)?.utf8.map { $0 } ?? [], at: place)
      case 1: bytes.removeSubrange(place..<end)
      case 2:
        bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &random))
      default: if place < bytes.count { bytes[place] = UInt8.random(in: 0...255, using: &random) }
      }
    }
    return bytes
  }

  @Test(arguments: 0..<8 as Range<UInt64>)
  func `a damaged file is read or refused by line, and never shown`(seed: UInt64) throws {
    var random = Generator(state: seed)
    var read = 0
    for _ in 0..<2_500 {
      let text = try #require(Self.seeds.randomElement(using: &random))
      let bytes = damaged(text, &random)
      do {
        // Whatever stands before it, a section at a line's start is one.
        let file = try ConfigurationFile(
          bytes: bytes + Array("\n[profile last]\nregion = r\n".utf8), path: "f")
        #expect(file.values(kind: "profile", name: "last")?["region"] == .text("r"), "\(bytes)")
        #expect(file.sections.allSatisfy { !$0.name.isEmpty }, "\(bytes)")
        read += 1
      } catch let error as ConfigurationError {
        #expect(error.subject.hasPrefix("f, line "))
        #expect(!error.description.contains(Self.secret))
      }
    }
    // Both ways are gone: else the cases say nothing.
    #expect((100..<2_400).contains(read))
  }
}
