/// A small file that names a checkpoint: `latest`, `last_checkpoint`, `latest_checkpointed_iteration.txt` and
/// others.
///
/// A trainer resumes from the checkpoint that the tracker names. So a tracker proves that its writer took
/// this checkpoint for complete. A restore fetches the tracker only together with this checkpoint.
package struct Tracker: Sendable, Hashable {
  /// How the file's content is read.
  enum Form: Sendable {
    /// A name or a path, alone in the file.
    case name
    /// A step.
    case number
    /// TensorFlow's `model_checkpoint_path: "ckpt-5"`, else a name.
    case checkpointState
    /// Ray's snapshot: every quoted text that is the name of a checkpoint.
    case everyName
  }

  package let path: RelativePath
  /// Names of checkpoints. Each is the end of a path below the tracker's directory.
  package let names: [String]
  package let number: Int64?
  /// The tracker names all checkpoints, so it would be wrong beside a single restored one.
  package let needsAll: Bool

  private static let forms: [(pattern: String, form: Form)] = [
    ("latest_checkpointed_iteration.txt", .number), ("dlrover_latest.txt", .number), ("latest", .name),
    ("latest_*", .name), ("LATEST", .name), ("last_checkpoint", .name), ("last_checkpoint.*", .name),
    ("checkpoint", .checkpointState), ("checkpoint_manager_snapshot.json", .everyName),
  ]

  /// The largest size of a tracker. A larger file with such a name is a copy of a checkpoint.
  package static let longest: Int64 = 64 << 10

  private static func form(of path: RelativePath) -> Form? {
    forms.first { pattern, _ in
      if pattern.hasSuffix("*") { return path.name.hasPrefix(pattern.dropLast()) }
      return path.name == pattern
    }?.form
  }

  /// Whether a file may be a tracker, by its name and size.
  package static func mayBe(_ path: RelativePath, byteCount: Int64) -> Bool {
    byteCount <= longest && form(of: path) != nil
  }

  /// Nil for a file whose content names nothing.
  package init?(_ path: RelativePath, content: [UInt8]) {
    guard let form = Self.form(of: path), let text = String(validating: content, as: UTF8.self) else {
      return nil
    }
    self.path = path
    let trimmed = text.split(whereSeparator: \.isWhitespace)
    var number: Int64?
    switch form {
    case .number:
      number = trimmed.first.flatMap { Int64($0) }
      names = number == nil ? trimmed.first.map { [String($0)] } ?? [] : []
    case .name:
      names = Self.line(of: text).map { [$0] } ?? []
    case .checkpointState:
      let quoted = Self.quoted(in: text[...], after: "model_checkpoint_path:")
      names = (quoted ?? Self.line(of: text)).map { [$0] } ?? []
    case .everyName:
      names = Self.allQuoted(in: text)
    }
    self.number = number
    if case .everyName = form { needsAll = true } else { needsAll = false }
    if names.isEmpty, number == nil { return nil }
  }

  private static func line(of text: String) -> String? {
    text.split(whereSeparator: \.isNewline).first.map { String($0.trimming(while: \.isWhitespace)) }
  }

  private static func quoted(in text: Substring, after key: String) -> String? {
    for line in text.split(whereSeparator: \.isNewline) {
      let line = line.trimming(while: \.isWhitespace)
      if line.hasPrefix(key) { return allQuoted(in: String(line)).first }
    }
    return nil
  }

  /// The texts between quotation marks. Backslashes are kept, because no checkpoint's name holds one.
  private static func allQuoted(in text: String) -> [String] {
    let pieces = text.split(separator: "\"", omittingEmptySubsequences: false)
    return stride(from: 1, to: pieces.count, by: 2).map { String(pieces[$0]) }
  }

  /// Returns those of some checkpoints that the tracker names.
  package func named(among units: some Sequence<RelativePath>) -> [RelativePath] {
    units.filter { unit in
      guard unit.isWithin(path.parent), unit != path.parent else { return false }
      if let number { return StepName(unit.name).number == number && unit.parent == path.parent }
      return names.contains { isName($0, of: unit) }
    }
  }

  /// Returns the checkpoints in the tracker's directory that the tracker names, given that directory's
  /// entries.
  package func places(among entries: [RelativePath]) -> [RelativePath] {
    named(among: Set(entries + entries.compactMap(UnitNames.looseUnit))).sorted()
  }

  /// Whether every checkpoint that the tracker names is this one. Entries that are no checkpoint names are
  /// ignored.
  package func names(only unit: RelativePath) -> Bool {
    names.filter { StepName($0.split(separator: "/").last ?? "").isStep }.allSatisfy { isName($0, of: unit) }
  }

  /// Whether a name, or the end of a path, is that of a unit below the tracker's directory.
  private func isName(_ name: String, of unit: RelativePath) -> Bool {
    let names = name.split(separator: "/").map { $0.utf8 }.filter { !$0.elementsEqual(".".utf8) }
    guard !names.isEmpty else { return false }
    let own = (unit.ancestors.dropLast().reversed() + [unit]).map { $0.name.utf8 }
    let depth = path.parent.isRoot ? 0 : path.parent.ancestors.count
    let below = own.dropFirst(depth)
    // The name is as the trainer wrote it: an absolute path, a path from some directory above, or a path from
    // the tracker's directory.
    return names.count >= below.count
      && zip(names.suffix(below.count), below).allSatisfy { $0.elementsEqual($1) }
  }
}

extension StringProtocol {
  func trimming(while isLeftOut: (Character) -> Bool) -> SubSequence {
    var rest = drop(while: isLeftOut)
    while let last = rest.last, isLeftOut(last) { rest.removeLast() }
    return rest
  }
}
