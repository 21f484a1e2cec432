import Foundation

/// What programs do to a tree, and what S3 is then asked and holds, as data: run on the model and against the kernel.
///
/// README.txt beside the scripts lists the words.
package struct TreeScript: Sendable, CustomStringConvertible {
  /// What one program does in one go. What the tree does not allow is an error of the script.
  package enum Operation: Sendable, Hashable {
    /// Replaces what the file holds, by O_TRUNC, and closes it; makes its directories.
    case write(String, text: String)
    case append(String, text: String)
    case truncate(String, count: Int)
    /// Writes this and leaves the file open.
    case open(String, text: String)
    case close(String)
    case makeDirectories(String)
    case rename(String, to: String)
    /// renameat2(2) with RENAME_EXCHANGE.
    case exchange(String, with: String)
    case link(String, to: String)
    case symlink(String, to: String)
    case delete(String)
    case deleteTree(String)
    /// A directory from elsewhere, with texts by name.
    case moveIn(String, files: [String: String])
    case moveOut(String)
    case touch(String)
    case chmod(String, mode: UInt32)
    /// The watch has told of everything until now.
    case told
  }

  enum Step: Sendable {
    case operation(Operation)
    case overflow(losing: [Operation])
    /// The watch reads no event before all of this is done.
    case late([Operation])
    /// The requests, or nil where any will do.
    case flush([[String]]?)
    case end
    case keys([String])
    case text(String, String)
  }

  package let name: String
  /// Whether it is about what the model does not know.
  package private(set) var isOnlyReal = false
  package private(set) var exclude: [String] = []
  private(set) var steps: [(line: Int, step: Step)] = []

  package var description: String { name }

  package static let all: [TreeScript] = ScriptText.all(
    in: Bundle.module.bundleURL.appendingPathComponent("TreeScripts"), as: TreeScript.init)
}

// Reading.
extension TreeScript {
  init(_ text: ScriptText) throws {
    name = text.name
    /// The operations since `losing` or `late`.
    var block: [Operation]?
    var begin = ""
    var expectations = 0
    for line in text.lines {
      let arguments = Array(line.words.dropFirst())
      if line.expected != nil { expectations += 1 }
      switch (line.words[0], arguments.count, line.expected) {
      case ("real-only", 0, nil) where steps.isEmpty: isOnlyReal = true
      case ("exclude", 1..., nil) where steps.isEmpty: exclude = arguments
      case ("losing", 0, nil) where block == nil, ("late", 0, nil) where block == nil:
        block = []
        begin = line.words[0]
      case ("overflow", 0, nil) where block == nil || begin == "losing":
        steps.append((line.number, .overflow(losing: block ?? [])))
        block = nil
      case ("read", 0, nil) where begin == "late":
        guard let late = block else { throw text.malformed(line) }
        steps.append((line.number, .late(late)))
        block = nil
      case ("flush", 0, let expected) where block == nil:
        steps.append((line.number, .flush(expected.map(Self.groups))))
      case ("end", 0, nil) where block == nil: steps.append((line.number, .end))
      case ("keys", 0, let expected?) where block == nil:
        let keys = expected == "none" ? [] : expected.split(separator: " ").map(String.init)
        steps.append((line.number, .keys(keys)))
      case ("text", 1, let expected?) where block == nil:
        steps.append((line.number, .text(arguments[0], expected)))
      default:
        guard line.expected == nil, let operation = Operation(line.words[0], arguments) else {
          throw text.malformed(line)
        }
        if block == nil { steps.append((line.number, .operation(operation))) }
        block?.append(operation)
      }
    }
    guard block == nil, expectations > 0 else { throw text.malformed(text.lines.last) }
  }

  /// `A, B then C`: A and B in any order, after them C.
  private static func groups(_ expected: String) -> [[String]] {
    if expected == "nothing" { return [] }
    return expected.components(separatedBy: " then ").map { $0.components(separatedBy: ", ").sorted() }
  }
}

extension TreeScript.Operation {
  fileprivate init?(_ word: String, _ arguments: [String]) {
    guard let path = arguments.first else {
      guard word == "told" else { return nil }
      self = .told
      return
    }
    let rest = arguments.dropFirst()
    let text = rest.joined(separator: " ")
    switch (word, rest.count) {
    case ("write", _): self = .write(path, text: text)
    case ("append", 1...): self = .append(path, text: text)
    case ("open", _): self = .open(path, text: text)
    case ("close", 0): self = .close(path)
    case ("mkdir", 0): self = .makeDirectories(path)
    case ("rename", 1): self = .rename(path, to: text)
    case ("exchange", 1): self = .exchange(path, with: text)
    case ("link", 1): self = .link(path, to: text)
    case ("symlink", 1): self = .symlink(path, to: text)
    case ("delete", 0): self = .delete(path)
    case ("delete-tree", 0): self = .deleteTree(path)
    case ("move-out", 0): self = .moveOut(path)
    case ("touch", 0): self = .touch(path)
    case ("truncate", 1):
      guard let count = Int(text) else { return nil }
      self = .truncate(path, count: count)
    case ("chmod", 1):
      guard let mode = UInt32(text, radix: 8) else { return nil }
      self = .chmod(path, mode: mode)
    case ("move-in", 1...):
      let pairs = rest.map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
      guard pairs.allSatisfy({ $0.count == 2 }) else { return nil }
      self = .moveIn(path, files: Dictionary(pairs.map { ($0[0], $0[1]) }, uniquingKeysWith: { $1 }))
    default: return nil
    }
  }
}

/// What scripts run on.
package protocol ScriptedMirror {
  mutating func carryOut(_ operation: TreeScript.Operation) async throws
  /// Carries these out, and none of their events arrives, but the news of the loss.
  mutating func overflow(losing operations: [TreeScript.Operation]) async throws
  /// Carries these out before the watch reads any of their events.
  mutating func carryOutUnread(_ operations: [TreeScript.Operation]) async throws
  /// - Returns: The requests since the last call, in order: the operation, and the path of its key if it has one.
  mutating func flush() async throws -> [String]
  mutating func end() async throws
  /// The text of each object, by path.
  func objects() async throws -> [String: String]
}

// Running.
extension TreeScript {
  /// - Returns: What was not as the script expects, a line each.
  package func differences(on mirror: inout some ScriptedMirror) async throws -> [String] {
    var differences: [String] = []
    func compare<Value: Equatable>(_ found: Value, _ expected: Value, line: Int) {
      if found != expected { differences.append("\(name):\(line): \(found), not \(expected)") }
    }
    for (line, step) in steps {
      switch step {
      case .operation(let operation): try await mirror.carryOut(operation)
      case .overflow(let losing): try await mirror.overflow(losing: losing)
      case .late(let operations): try await mirror.carryOutUnread(operations)
      case .end: try await mirror.end()
      case .flush(let expected):
        let requests = try await mirror.flush()
        if let expected { compare(Self.inGroups(requests, like: expected), expected, line: line) }
      case .keys(let expected):
        compare(try await mirror.objects().keys.sorted(), expected.sorted(), line: line)
      case .text(let path, let expected): compare(try await mirror.objects()[path], expected, line: line)
      }
    }
    return differences
  }

  /// Each group as long as the expected one and sorted, and the rest behind.
  private static func inGroups(_ requests: [String], like expected: [[String]]) -> [[String]] {
    var rest = requests[...]
    var groups: [[String]] = []
    for group in expected where !rest.isEmpty {
      groups.append(rest.prefix(group.count).sorted())
      rest = rest.dropFirst(group.count)
    }
    return rest.isEmpty ? groups : groups + [Array(rest)]
  }
}
