import TestSupport
import Testing

/// The fuzzer itself: a fuzzer that finds nothing where there is something is worse than none.
@Suite struct FuzzerTests {
  private static let corpus = ["<a><b>12</b></a>", "<a/>"]

  @Test func `a parser that wrongly accepts a number is found, with seed, round and input`() throws {
    let fuzzer = Fuzzer("planted", corpus: Self.corpus)
    let finding = #expect(throws: Fuzzer.Finding.self) {
      try fuzzer.run { bytes in
        if String(decoding: bytes, as: UTF8.self).contains("<b>-1</b>") {
          throw Fuzzer.Complaint("a negative size was taken")
        }
      }
    }
    let found = try #require(finding)
    #expect(fuzzer.input(found.round) == found.input)
    #expect(found.description.contains("S3MIRROR_FUZZ_SEED=\(fuzzer.seed), round \(found.round)"))
    #expect(found.description.contains("a negative size was taken"))
  }

  @Test func `a parser that traps ends its process`() async {
    await #expect(processExitsWith: .failure) {
      try Fuzzer("planted", corpus: FuzzerTests.corpus).run { bytes in
        // A parser that adds up what it reads.
        var sum: Int64 = 1
        for word in String(decoding: bytes, as: UTF8.self).split(whereSeparator: { !$0.isNumber }) {
          sum += Int64(word) ?? 0
        }
      }
    }
  }

  @Test func `a sound parser passes, and the corpus comes first and unharmed`() throws {
    var seen: [String] = []
    try Fuzzer("sound", corpus: Self.corpus).run { seen.append(String(decoding: $0, as: UTF8.self)) }
    #expect(seen.prefix(2) == Self.corpus[...])
    #expect(Set(seen).count > seen.count / 2)
  }
}
