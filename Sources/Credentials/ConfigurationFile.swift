import LoopThread
import SystemPackage

/// One of the two shared files, as sections of settings.
///
/// The grammar is that of the AWS SDKs and Tools Reference Guide ("Shared config and credentials files").
/// Where the parsers of the CLI and the SDKs differ, the lenient rule applies:
/// - `#` and `;` begin a comment at the start of a line, and after white space in a value or after a
///   section's name;
/// - a line with a deeper indentation than the setting above continues that setting; below a setting without
///   a value it is nested;
/// - repeated sections and settings are merged, and the later value counts;
/// - names of settings ignore case, names of sections do not.
struct ConfigurationFile: Sendable {
  enum Value: Sendable, Hashable {
    case text(String)
    case nested([String: String])
  }

  struct Section: Sendable {
    /// In `profile x` the kind is `profile` and the name is `x`. A section `x` has no kind.
    var kind: String?
    var name: String
    var values: [String: Value]
  }

  private(set) var sections: [Section] = []

  /// Reads a file. A missing file has no sections.
  ///
  /// - Throws: `ConfigurationError` that names the file.
  init(path: String) throws {
    try self.init(bytes: try Self.content(of: path), path: path)
  }

  /// The file's bytes; empty if there is no such file.
  private static func content(of path: String) throws -> [UInt8] {
    do {
      return try FileDescriptor.contents(ofFileAt: path)
    } catch {
      if error == .noSuchFileOrDirectory || error == .notDirectory { return [] }
      throw Self.unreadable(path, cause: "\(error)")
    }
  }

  private static func unreadable(_ path: String, cause: String) -> ConfigurationError {
    ConfigurationError(
      subject: path, cause: "cannot be read (\(cause))",
      remedy: "Make it a file that this user can read, or name another in AWS_CONFIG_FILE or "
        + "AWS_SHARED_CREDENTIALS_FILE.")
  }

  init(bytes: [UInt8], path: String) throws {
    let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]
    let content = bytes.starts(with: byteOrderMark) ? bytes.dropFirst(3) : bytes[...]
    var parser = Parser(path: path)
    for line in content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      try parser.read(line)
    }
    sections = parser.sections
  }

  /// The settings of all sections with this kind and name; nil if there is none.
  func values(kind: String?, name: String) -> [String: Value]? {
    let same = sections.filter { $0.kind == kind && $0.name == name }
    if same.isEmpty { return nil }
    return same.reduce(into: [:]) { merged, section in merged.merge(section.values) { $1 } }
  }
}

/// Parses line by line. Errors have the line's number and never its text, which may hold a secret.
private struct Parser {
  let path: String
  private(set) var sections: [ConfigurationFile.Section] = []
  private var lineNumber = 0
  /// The setting that a deeper line continues, with its own indentation in bytes.
  private var current: (name: String, indentation: Int)?

  init(path: String) {
    self.path = path
  }

  mutating func read(_ line: ArraySlice<UInt8>) throws {
    lineNumber += 1
    let content = line.trimmed
    guard let first = content.first, first != UInt8(ascii: "#"), first != UInt8(ascii: ";") else { return }
    guard let text = String(validating: content, as: UTF8.self) else { throw fault("is not UTF-8") }
    let indentation = line.prefix(while: isWhiteSpace).count
    if let current, indentation > current.indentation {
      try continueSetting(current.name, text)
    } else if first == UInt8(ascii: "[") {
      try beginSection(text)
    } else {
      try readSetting(text, indentation: indentation)
    }
  }

  private mutating func beginSection(_ text: String) throws {
    // The first bracket, because a comment after it may hold more.
    guard let end = text.utf8.firstIndex(of: UInt8(ascii: "]")) else { throw fault("has no closing bracket") }
    let inside = Array(text[..<end].utf8.dropFirst())[...].trimmed
    guard !inside.isEmpty else { throw fault("names no section") }
    let words = inside.split(maxSplits: 1, whereSeparator: isWhiteSpace).map { $0.trimmed }
    let kind = String(decoding: words[0], as: UTF8.self)
    let isKind = words.count == 2 && ["profile", "services", "sso-session"].contains(kind)
    let name = unquoted(isKind ? words[1] : inside)
    guard !name.isEmpty else { throw fault("names no section") }
    sections.append(ConfigurationFile.Section(kind: isKind ? kind : nil, name: name, values: [:]))
    current = nil
  }

  private mutating func readSetting(_ text: String, indentation: Int) throws {
    guard !sections.isEmpty else { throw fault("stands before the first [section]") }
    guard let (name, value) = split(text) else { throw fault("has no =") }
    current = (name, indentation)
    sections[sections.count - 1].values[name] = .text(value)
  }

  private mutating func continueSetting(_ name: String, _ text: String) throws {
    let last = sections.count - 1
    switch sections[last].values[name] {
    case .text(let value) where !value.isEmpty:
      sections[last].values[name] = .text(value + "\n" + text)
    case .text, nil:
      guard let (inner, value) = split(text) else { throw fault("has no =") }
      sections[last].values[name] = .nested([inner: value])
    case .nested(var settings):
      guard let (inner, value) = split(text) else { throw fault("has no =") }
      settings[inner] = value
      sections[last].values[name] = .nested(settings)
    }
  }

  private func split(_ text: String) -> (name: String, value: String)? {
    let bytes = Array(text.utf8)
    guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")), equals > 0 else { return nil }
    let name = String(decoding: bytes[..<equals].trimmed, as: UTF8.self).lowercased()
    return (name, String(decoding: withoutComment(bytes[(equals + 1)...]).trimmed, as: UTF8.self))
  }

  private func withoutComment(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let begin = value.indices.first { index in
      (value[index] == UInt8(ascii: "#") || value[index] == UInt8(ascii: ";"))
        && index > value.startIndex && isWhiteSpace(value[index - 1])
    }
    return value[..<(begin ?? value.endIndex)]
  }

  private func unquoted(_ name: ArraySlice<UInt8>) -> String {
    let quotes = [UInt8(ascii: "\""), UInt8(ascii: "'")]
    let isQuoted = name.count >= 2 && name.first == name.last && name.first.map(quotes.contains) == true
    return String(decoding: isQuoted ? name.dropFirst().dropLast() : name, as: UTF8.self)
  }

  private func fault(_ cause: String) -> ConfigurationError {
    ConfigurationError(
      subject: "\(path), line \(lineNumber)", cause: "the line \(cause)",
      remedy: "The file's form is [profile name], then lines of name = value.")
  }
}

private func isWhiteSpace(_ byte: UInt8) -> Bool {
  byte == UInt8(ascii: " ") || (0x09...0x0d).contains(byte)
}

extension ArraySlice<UInt8> {
  /// Without white space at both ends.
  var trimmed: ArraySlice<UInt8> {
    let start = firstIndex { !isWhiteSpace($0) } ?? endIndex
    let last = lastIndex { !isWhiteSpace($0) }
    return last.map { self[start...$0] } ?? []
  }
}
