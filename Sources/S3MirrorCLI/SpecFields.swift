/// The outer form of a spec: text that is cut at commas, where a comma of the text itself is written `\,`.
///
/// Backslashes are text, too, except in a run that ends at a comma: there two are one, as in `exclude=a\\,delete=true`, for
/// a pattern that ends in a backslash. So nothing else that has backslashes needs more of them.
enum SpecFields {
  static func split(_ text: some StringProtocol) -> [String] {
    var fields: [String] = []
    var field = String.UnicodeScalarView()
    var backslashes = 0
    // Scalars, not characters: a combining mark after a sign would hide the sign.
    for scalar in text.unicodeScalars {
      if scalar == "\\" {
        backslashes += 1
        continue
      }
      let isComma = scalar == ","
      field.append(contentsOf: repeatElement("\\", count: isComma ? backslashes / 2 : backslashes))
      if isComma, backslashes.isMultiple(of: 2) {
        fields.append(String(field))
        field = String.UnicodeScalarView()
      } else {
        field.append(scalar)
      }
      backslashes = 0
    }
    field.append(contentsOf: repeatElement("\\", count: backslashes))
    return fields + [String(field)]
  }

  /// The text of which `split` makes these fields.
  static func joined(_ fields: [String]) -> String {
    var text = String.UnicodeScalarView()
    for (index, field) in fields.enumerated() {
      var backslashes = 0
      for scalar in field.unicodeScalars {
        if scalar == "," { text.append(contentsOf: repeatElement("\\", count: backslashes + 1)) }
        backslashes = scalar == "\\" ? backslashes + 1 : 0
        text.append(scalar)
      }
      if index < fields.count - 1 {
        text.append(contentsOf: repeatElement("\\", count: backslashes))
        text.append(",")
      }
    }
    return String(text)
  }
}

/// Which known word was meant by one that is not known.
enum Suggestion {
  /// The nearest by insertions, deletions and replacements (Levenshtein), if it is near at all.
  static func nearest(to word: String, in known: [String]) -> String? {
    let candidates = known.map { (word: $0, distance: distance(word.lowercased(), $0.lowercased())) }
    guard let best = candidates.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= max(2, best.word.count / 2 - 1) ? best.word : nil
  }

  private static func distance(_ left: String, _ right: String) -> Int {
    // A mistyped key is short; what is long is none, and is not worth its square of steps.
    guard left.utf8.count <= 64 else { return .max }
    let (left, right) = (Array(left.utf8), Array(right.utf8))
    var row = Array(0...right.count)
    for (index, byte) in left.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for (column, other) in right.enumerated() {
        let replaced = diagonal + (byte == other ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
      }
    }
    return row[right.count]
  }
}
