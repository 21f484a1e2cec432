/// A small file that names a checkpoint: `latest`, `last_checkpoint`, `latest_checkpointed_iteration.txt` and others.
///
/// A trainer resumes from what it names. So it proves that the writer took that checkpoint for complete, and it is fetched with
/// that one checkpoint only.
package struct Tracker: Sendable, Hashable {
  /// How the file is read.
  enum Form: Sendable {
    /// A name or a path, alone in the file.
    case name
    /// A step.
    case number
    /// TensorFlow's `model_checkpoint_path: "ckpt-5"`, else a name.
    case checkpointState
    /// Ray's snapshot: every text in it that is a checkpoint's name.
    case everyName
  }

  package let path: RelativePath
  /// Names of checkpoints, each as the end of a path below the tracker's directory.
  package let names: [String]
  package let number: Int64?
  /// It leads to all of them, so it is wrong beside one alone.
  package let needsAll: Bool

  private static let forms: [(pattern: String, form: Form)] = [
    ("latest_checkpointed_iteration.txt", .number), ("dlrover_latest.txt", .number), ("latest", .name),
    ("latest_*", .name), ("LATEST", .name), ("last_checkpoint", .name), ("last_checkpoint.*", .name),
    ("checkpoint", .checkpointState), ("checkpoint_manager_snapshot.json", .everyName),
  ]

  /// No such file is larger; a copy of a checkpoint under such a name is.
  package static let longest: Int64 = 64 << 10

  private static func form(of path: RelativePath) -> Form? {
    forms.first { pattern, _ in
      if pattern.hasSuffix("*") { return path.name.hasPrefix(pattern.dropLast()) }
      return path.name == pattern
    }?.form
  }

  /// Whether a file may be one, by its name and size.
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

  /// What stands between quotation marks, with backslashes as they are: no checkpoint has one in its name.
  private static func allQuoted(in text: String) -> [String] {
    let pieces = text.split(separator: "\"", omittingEmptySubsequences: false)
    return stride(from: 1, to: pieces.count, by: 2).map { String(pieces[$0]) }
  }

  /// Which of some checkpoints it names.
  package func named(among units: some Sequence<RelativePath>) -> [RelativePath] {
    units.filter { unit in
      guard unit.isWithin(path.parent), unit != path.parent else { return false }
      if let number { return StepName(unit.name).number == number && unit.parent == path.parent }
      return names.contains { isName($0, of: unit) }
    }
  }

  /// Which checkpoints among the names of its own directory it leads to.
  package func places(among entries: [RelativePath]) -> [RelativePath] {
    let stems = entries.compactMap { entry in
      UnitNames.looseFile(entry.name).map { entry.parent.appending($0.stem) }
    }
    return named(among: Set(entries + stems)).sorted()
  }

  /// Whether what it names is this checkpoint in every case. A list of results that are no names does not count.
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
    // As the trainer saw it: an absolute path, a path from somewhere above, or from the tracker's directory.
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
