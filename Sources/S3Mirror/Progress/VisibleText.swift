/// Text for a line of a terminal or log: one line in which every character is visible.
///
/// File names, keys and servers' messages can hold any characters. Control characters (ECMA-48: C0, DEL and
/// C1) control terminals, line feeds begin false lines, and bidirectional controls (Unicode Standard Annex 9)
/// reorder the displayed text. They become `\n`, `\r`, `\t`, `\x1b` and `\u202e`. A backslash stays as it is,
/// so that ordinary names look as usual. For unambiguous names there is JSON output.
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

/// JSON that cannot control a terminal or end a line. The characters that `visible` replaces become JSON
/// escapes (RFC 8259, 7), which changes no value. Outside of strings JSON has such characters only as
/// whitespace between tokens.
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
    // Bidirectional marks, embeddings, overrides and isolates; line and paragraph separators.
    case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}
