/// Text as a line of a terminal or a log shows it: one line, whose characters are what they look like.
///
/// File names, keys and servers' messages hold whatever others put there. Control characters (ECMA-48: C0, DEL and C1) drive
/// terminals, line feeds make lines that nobody wrote, and bidirectional controls (Unicode Standard Annex 9) show text in another
/// order than it has. They become `\n`, `\r`, `\t`, `\x1b` and `\u202e`. A backslash stays as it is, so that ordinary names are
/// shown as they are; who needs to tell them apart asks for JSON.
package func visible(_ text: String) -> String {
  guard text.unicodeScalars.contains(where: \.isUnseen) else { return text }
  return text.unicodeScalars.reduce(into: "") { shown, scalar in
    guard scalar.isUnseen else {
      shown.unicodeScalars.append(scalar)
      return
    }
    switch scalar {
    case "\n": shown += "\\n"
    case "\r": shown += "\\r"
    case "\t": shown += "\\t"
    case _ where scalar.value <= 0xFF: shown += "\\x" + hexadecimal(scalar, digits: 2)
    default: shown += "\\u" + hexadecimal(scalar, digits: 4)
    }
  }
}

/// JSON in which nothing commands a terminal or ends a line: what `visible` hides is escaped as JSON does it (RFC 8259, 7), which
/// changes no value. Outside of strings JSON has no such characters but those between its tokens.
package func visible(json: String) -> String {
  guard json.unicodeScalars.contains(where: \.isUnseen) else { return json }
  return json.unicodeScalars.reduce(into: "") { shown, scalar in
    if scalar.isUnseen {
      shown += "\\u" + hexadecimal(scalar, digits: 4)
    } else {
      shown.unicodeScalars.append(scalar)
    }
  }
}

private func hexadecimal(_ scalar: Unicode.Scalar, digits: Int) -> String {
  let text = String(scalar.value, radix: 16)
  return String(repeating: "0", count: digits - text.utf8.count) + text
}

extension Unicode.Scalar {
  fileprivate var isUnseen: Bool {
    switch value {
    case 0..<0x20, 0x7F...0x9F: true
    // Bidirectional marks, embeddings, overrides and isolates; the separators of lines and paragraphs.
    case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}
