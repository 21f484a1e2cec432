import MirrorModel

/// What earlier runs knew, beside a comparison that meets paths in key order (CHG-14).
struct KnownEquals {
  private let store: EvidenceStore
  private let comparison: Comparison
  private var stream: EvidenceStream
  /// Paths of which there is evidence and nothing else; nil where the comparison does not see everything.
  private var gone: [RelativePath]?

  /// Those of one comparison that are forgotten; later ones find the others.
  private static let mostGone = 8_192

  /// - Parameters:
  ///   - stream: stands before the first path.
  ///   - seesEverything: whether what the comparison does not meet has neither a file nor an object.
  init(_ store: EvidenceStore, _ stream: EvidenceStream, for comparison: Comparison, seesEverything: Bool) {
    self.store = store
    self.stream = stream
    self.comparison = comparison
    gone = seesEverything ? [] : nil
  }

  /// Goes along with the comparison.
  mutating func meet(_ path: RelativePath) {
    var passed: [RelativePath] = []
    stream.go(to: path) { if passed.count < Self.mostGone { passed.append($0) } }
    note(passed)
  }

  /// Whether an earlier run settled the question that is left of the path that was met last.
  func settles(_ difference: Difference) -> Bool {
    guard case .suspect(let file, let object) = difference else { return false }
    return comparison.isSettled(file.stamp, object, by: stream.entry)
  }

  /// Has what has neither a file nor an object forgotten, so that evidence does not outgrow the tree.
  ///
  /// - Parameter isOut: of paths that the comparison leaves out.
  mutating func finish(except isOut: (RelativePath) -> Bool) {
    var passed: [RelativePath] = []
    stream.finish { if passed.count < Self.mostGone { passed.append($0) } }
    note(passed)
    for path in gone ?? [] where !isOut(path) { store.noteDeleted(path) }
  }

  private mutating func note(_ passed: [RelativePath]) {
    guard let count = gone?.count, count < Self.mostGone else { return }
    // A directory and its marker are a pair that a comparison does not hand out.
    for path in passed where DirectoryMarker(path) == nil { gone?.append(path) }
  }
}
