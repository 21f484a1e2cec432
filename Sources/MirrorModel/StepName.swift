/// What a name shows about the training step at which it was written.
package struct StepName: Sendable, Hashable {
  /// The step, iteration or epoch. Nil if the name has no number, or several numbers and none after such a
  /// word.
  package let number: Int64?
  /// The name without its numbers. The checkpoints of one series have the same.
  package let series: String
  /// Whether the name is that of a step's directory in some framework: `checkpoint-500`, `global_step20`,
  /// `iter_0000010`, or a number alone.
  package let isStep: Bool

  private struct Run {
    /// The last letters before the number, in lower case: `step` in `step=20`.
    var word: String
    var digits = ""
  }

  package init(_ name: some StringProtocol) {
    var runs: [Run] = []
    var series = ""
    var word = ""
    var last: UInt8 = 0
    for byte in name.utf8 {
      if Self.isDigit(byte) {
        if !Self.isDigit(last) {
          runs.append(Run(word: word))
          series.append("#")
          word = ""
        }
        runs[runs.count - 1].digits.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        if Self.isLetter(byte) {
          if !Self.isLetter(last) { word = "" }
          word.unicodeScalars.append(Unicode.Scalar(byte | 0x20))
        }
        series.unicodeScalars.append(Unicode.Scalar(byte))
      }
      last = byte
    }
    self.series = series
    number = Self.number(in: runs)
    isStep = series == "#" || runs.contains { Self.stepWords.contains($0.word) }
  }

  /// The number after one of these words is the step. Earlier words of the list take precedence.
  private static let words = ["step", "iter", "iteration", "ba", "batch", "epoch", "ep"]
  private static let stepWords = Set(words + ["checkpoint", "ckpt"])

  private static func number(in runs: [Run]) -> Int64? {
    for word in words {
      if let run = runs.last(where: { $0.word == word }) { return Int64(run.digits) }
    }
    return runs.count == 1 ? Int64(runs[0].digits) : nil
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }
}
