import Foundation

/// A test as data: a tiny text file, one behaviour each.
///
/// A line is words, and after `=>` what is expected of them; `#` begins a comment.
package struct ScriptText: Sendable {
  package struct Line: Sendable {
    package var number: Int
    package var words: [String]
    /// What is asked for after `=>`; nil where nothing is.
    package var expected: String?
  }

  package struct Malformed: Error, CustomStringConvertible {
    package var script: String
    package var line: Int

    package init(script: String, line: Int) {
      self.script = script
      self.line = line
    }

    package var description: String { "\(script):\(line) is not a line of such a script" }
  }

  package var name: String
  package var lines: [Line]

  package init(name: String, text: String) {
    self.name = name
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap {
      (index, raw) -> Line? in
      let code = raw.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
      let halves = code.split(separator: "=>", maxSplits: 1, omittingEmptySubsequences: false)
      let words = (halves.first ?? "").split(separator: " ").map(String.init)
      if words.isEmpty { return nil }
      return Line(
        number: index + 1, words: words,
        expected: halves.count == 2 ? halves[1].trimmingCharacters(in: .whitespaces) : nil)
    }
  }

  package func malformed(_ line: Line?) -> Malformed { Malformed(script: name, line: line?.number ?? 0) }

  /// Every script of a folder, by name, as `read` understands it.
  package static func all<Script>(in folder: URL, as read: (ScriptText) throws -> Script) -> [Script] {
    do {
      let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      return try files.filter { $0.pathExtension == "script" }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }
        .map {
          let name = $0.deletingPathExtension().lastPathComponent
          return try read(ScriptText(name: name, text: String(contentsOf: $0, encoding: .utf8)))
        }
    } catch {
      fatalError("the scripts in \(folder.path) cannot be read: \(error)")
    }
  }
}
