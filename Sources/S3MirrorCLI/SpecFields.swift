/// The outer form of a spec: text that is split at commas, where a comma of the text itself is written `\,`.
///
/// A backslash is ordinary text, except in a run of backslashes before a comma. There two backslashes mean
/// one, as in `exclude=a\\,delete=true` for a pattern that ends in a backslash. So other text with
/// backslashes needs no additional ones.
enum SpecFields {
  static func split(_ text: some StringProtocol) -> [String] {
    var fields: [String] = []
    var field = String.UnicodeScalarView()
    var backslashes = 0
    // Scalars, not characters: with a combining mark after it, the sign would be part of another character.
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

  /// The text that `split` turns into these fields.
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

/// Finds the known word that is most similar to an unknown one.
enum Suggestion {
  /// The nearest word by insertions, deletions and replacements (Levenshtein); nil if none is near.
  static func nearest(to word: String, in known: [String]) -> String? {
    let candidates = known.map { (word: $0, distance: distance(word.lowercased(), $0.lowercased())) }
    guard let best = candidates.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= max(2, best.word.count / 2 - 1) ? best.word : nil
  }

  private static func distance(_ left: String, _ right: String) -> Int {
    // A mistyped key is short. A long text is no key, and comparing it would take quadratic time.
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
