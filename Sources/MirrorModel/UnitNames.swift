/// The names that distinguish units from other files, as data.
package struct UnitNames: Sendable {
  /// Commit markers.
  package var markers: NamePatterns
  /// What a mark speaks for is being written or deleted.
  package var marks: ProgressMarks
  /// Names that a file or directory has only until it is complete.
  package var temporaries: NamePatterns
  /// Files that are only appended to.
  package var appended: NamePatterns

  package init(
    markers: [String] = DefaultNames.markers, marks: [String] = DefaultNames.marks,
    temporaries: [String] = DefaultNames.temporaries, appended: [String] = DefaultNames.appended
  ) throws {
    self.markers = try NamePatterns(markers)
    self.marks = try ProgressMarks(marks)
    // These patterns apply to files and directories alike.
    self.temporaries = try NamePatterns(temporaries.map { $0.last == "/" ? String($0.dropLast()) : $0 })
    self.appended = try NamePatterns(appended)
  }

  /// Markers that occur only in a unit's own directory, never in a directory of several units.
  static let ofOneUnit: Set<String> = [
    ".metadata", "_CHECKPOINT_METADATA", "_METADATA", "commit_success.txt", "meta.pt", "manifest.ocdbt",
  ]

  /// Endings of files that each hold a whole checkpoint.
  static let wholeFiles = [
    ".pth.tar", ".weights.h5", ".ckpt", ".pth", ".pt", ".keras", ".h5", ".nemo", ".safetensors", ".npz",
    ".msgpack",
    ".pkl", ".joblib", ".model", ".ubj", ".bin", ".tar",
  ]

  /// Beginnings of names that have no number and still name a checkpoint: a copy of the latest or of the
  /// best.
  static let standing = ["last", "latest", "best", "final"]

  /// Flax keeps the arrays of `checkpoint_5` in `checkpoint_5_gda/`.
  static let arraysSuffix = "_gda"
}

extension UnitNames {
  /// A file that may be a checkpoint beside others in one directory.
  struct LooseFile: Hashable {
    /// The part of the name that the files of one checkpoint share.
    var stem: String
    /// The name itself shows that the file is a checkpoint: by a number, or by a word such as `last`.
    var isNamedSo: Bool
  }

  /// The checkpoint to which a file may belong beside others of its directory; nil if its ending is not that
  /// of a checkpoint.
  package static func looseUnit(of path: RelativePath) -> RelativePath? {
    looseFile(path.name).map { path.parent.appending($0.stem) }
  }

  /// - Returns: nil if the file's ending is not that of a checkpoint.
  static func looseFile(_ name: Substring) -> LooseFile? {
    if let stem = tensorFlowStem(name) { return LooseFile(stem: stem, isNamedSo: true) }
    guard let ending = wholeFiles.first(where: { name.utf8.count > $0.utf8.count && name.hasSuffix($0) })
    else {
      // Flax and LightGBM: a number, and no ending.
      let step = StepName(name)
      guard step.isStep, step.number != nil, isBare(name) else { return nil }
      return LooseFile(stem: String(name), isNamedSo: true)
    }
    let bare = name.dropLast(ending.count)
    let isNamedSo = StepName(bare).number != nil || standing.contains { bare.hasPrefix($0) }
    return LooseFile(stem: rankless(bare).map { $0 + ending } ?? String(name), isNamedSo: isNamedSo)
  }

  /// `ckpt-5` of `ckpt-5.index` and `ckpt-5.data-00000-of-00002`.
  static func tensorFlowStem(_ name: Substring) -> String? {
    if name.hasSuffix(".index"), name.utf8.count > 6 { return String(name.dropLast(6)) }
    guard let data = name.ranges(of: ".data-").last, Numbered(name[data.lowerBound...]) != nil else {
      return nil
    }
    return data.lowerBound == name.startIndex ? nil : String(name[..<data.lowerBound])
  }

  /// `ep1-ba20` of `ep1-ba20-rank3`, one of a checkpoint's files per rank.
  private static func rankless(_ name: Substring) -> String? {
    guard let rank = name.ranges(of: "-rank").last, rank.lowerBound > name.startIndex else { return nil }
    let digits = name[rank.upperBound...]
    return digits.isEmpty || !digits.allSatisfy(\.isWholeNumber) ? nil : String(name[..<rank.lowerBound])
  }

  /// Whether the name has no extension, or a number as its last part.
  private static func isBare(_ name: Substring) -> Bool {
    guard let dot = name.lastIndex(of: ".") else { return true }
    return StepName(name[dot...]).number != nil
  }
}

/// A name that contains `K-of-M`: the K-th of M files.
package struct Numbered: Sendable, Hashable {
  /// The name without K.
  package var family: String
  package var index: Int
  package var count: Int

  package init?(_ name: Substring) {
    guard let middle = name.ranges(of: "-of-").last else { return nil }
    let before = name[..<middle.lowerBound]
    let digits = before.suffix(while: Self.isDigit)
    let rest = name[middle.upperBound...].prefix(while: Self.isDigit)
    guard let index = Int(digits), let count = Int(rest), count > 0 else { return nil }
    self.index = index
    self.count = count
    family = String(name[..<digits.startIndex]) + "#" + String(name[middle.lowerBound...])
  }

  private static func isDigit(_ character: Character) -> Bool { character.isASCII && character.isNumber }
}

extension StringProtocol {
  /// The longest suffix whose characters all satisfy a condition.
  fileprivate func suffix(while isMet: (Character) -> Bool) -> SubSequence {
    var start = endIndex
    while start > startIndex, isMet(self[index(before: start)]) { start = index(before: start) }
    return self[start...]
  }
}
