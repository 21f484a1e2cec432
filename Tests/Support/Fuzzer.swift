import Foundation

/// Damages valid inputs at random and gives each one to a check: what a parser must not fear.
///
///     try Fuzzer("listing", corpus: [page, emptyPage], tokens: ["<", "&#8;", "%"]).run { bytes in
///       // A trap is found, and so is what this throws.
///       guard parse(bytes)?.isSound != false else { throw Fuzzer.Complaint("a key without a size") }
///     }
///
/// A seed and a round make an input, always the same. The error of a check that throws names both. A trap ends the process:
/// run the test again with `S3MIRROR_FUZZ_TRACE=1`, and the last line on stderr names the round. `S3MIRROR_FUZZ_ROUNDS` and
/// `S3MIRROR_FUZZ_SEED` set how many rounds run, and from which seed. A few thousand rounds run without them.
package struct Fuzzer: Sendable {
  /// What a check throws to say that a parser took what it must not take.
  package struct Complaint: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
  }

  /// An input that a check refused, and how to make it again.
  package struct Finding: Error, CustomStringConvertible {
    package let subject: String
    package let seed: UInt64
    package let round: Int
    package let input: [UInt8]
    package let reason: String

    package var description: String {
      "\(subject): \(reason) (S3MIRROR_FUZZ_SEED=\(seed), round \(round))\n"
        + String(decoding: input.prefix(4_096), as: UTF8.self)
    }
  }

  package let subject: String
  package let seed: UInt64
  package let rounds: Int
  private let corpus: [[UInt8]]
  private let tokens: [[UInt8]]
  private let isTracing: Bool

  /// - Parameters:
  ///   - subject: what is tried, for messages.
  ///   - corpus: valid inputs, at least one. Each is given to the check unharmed first.
  ///   - tokens: pieces that mean something to the parser; they are inserted here and there.
  ///   - rounds, seed: nil takes them from the environment.
  package init(
    _ subject: String, corpus: [[UInt8]], tokens: [String] = [], rounds: Int? = nil, seed: UInt64? = nil
  ) {
    precondition(!corpus.isEmpty, "a fuzzer needs a valid input to begin with")
    let environment = ProcessInfo.processInfo.environment
    self.subject = subject
    self.corpus = corpus
    self.tokens = (tokens + Self.numbers).map { Array($0.utf8) }
    self.rounds = rounds ?? environment["S3MIRROR_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 4_000
    self.seed = seed ?? environment["S3MIRROR_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
    isTracing = environment["S3MIRROR_FUZZ_TRACE"] != nil
  }

  package init(_ subject: String, corpus: [String], tokens: [String] = []) {
    self.init(subject, corpus: corpus.map { Array($0.utf8) }, tokens: tokens)
  }

  /// Gives the corpus and then `rounds` damaged inputs to the check.
  package func run(_ check: ([UInt8]) throws -> Void) throws {
    print("fuzzing \(subject): S3MIRROR_FUZZ_SEED=\(seed) S3MIRROR_FUZZ_ROUNDS=\(rounds)")
    for round in 0..<(corpus.count + rounds) {
      if isTracing { FileHandle.standardError.write(Data("\(subject): seed \(seed), round \(round)\n".utf8)) }
      let input = input(round)
      do {
        try check(input)
      } catch {
        throw Finding(subject: subject, seed: seed, round: round, input: input, reason: "\(error)")
      }
    }
  }

  /// The input of a round.
  package func input(_ round: Int) -> [UInt8] {
    if round < corpus.count { return corpus[round] }
    var random = SplitMix64(seed: seed &+ UInt64(round) &* 0x2545_F491_4F6C_DD1D)
    var bytes = corpus[random.below(corpus.count)]
    // Mostly a few wounds: what is damaged all over is refused at its first byte.
    for _ in 0...random.below(random.below(4) == 0 ? 16 : 3) { wound(&bytes, &random) }
    return bytes
  }

  /// What makes sums overflow, and what is next to it.
  private static let numbers = [
    "0", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "4294967296", "1e999",
  ]

  private func wound(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
    let place = random.below(bytes.count + 1)
    let end = min(bytes.count, place + 1 + random.below(random.below(3) == 0 ? 256 : 8))
    switch random.below(10) {
    case 0 where place < bytes.count: bytes[place] ^= UInt8(1 << random.below(8))
    case 1 where place < bytes.count: bytes[place] = UInt8(random.below(256))
    case 2: bytes.removeSubrange(place..<end)
    case 3: bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count + 1))
    case 4: bytes.removeSubrange(place...)
    case 5: bytes.insert(UInt8(random.below(0x21)), at: place)
    case 6:
      // The beginning of one and the end of another.
      let other = corpus[random.below(corpus.count)]
      bytes.replaceSubrange(place..., with: other[random.below(other.count + 1)...])
    case 7: replaceNumber(in: &bytes, from: place, &random)
    case 8:
      let token = tokens[random.below(tokens.count)]
      bytes.replaceSubrange(place..<end, with: token)
    default:
      bytes.insert(contentsOf: tokens[random.below(tokens.count)], at: place)
    }
  }

  private func replaceNumber(in bytes: inout [UInt8], from place: Int, _ random: inout SplitMix64) {
    let isDigit: (UInt8) -> Bool = { (0x30...0x39).contains($0) }
    guard let start = bytes[place...].firstIndex(where: isDigit) else { return }
    let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.endIndex
    bytes.replaceSubrange(start..<end, with: Self.numbers[random.below(Self.numbers.count)].utf8)
  }
}
