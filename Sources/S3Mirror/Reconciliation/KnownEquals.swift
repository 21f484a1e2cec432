import MirrorModel

/// The evidence of earlier runs, read along with a comparison that visits paths in key order (CHG-14).
struct KnownEquals {
  private let store: EvidenceStore
  private let comparison: Comparison
  private var stream: EvidenceStream
  /// Paths that have evidence but neither file nor object; nil if the comparison does not see everything.
  private var gone: [RelativePath]?

  /// How many such paths one comparison forgets; later comparisons forget the others.
  private static let mostGone = 8_192

  /// - Parameters:
  ///   - stream: must be before the first path.
  ///   - seesEverything: whether a path that the comparison does not visit has neither a file nor an object.
  init(_ store: EvidenceStore, _ stream: EvidenceStream, for comparison: Comparison, seesEverything: Bool) {
    self.store = store
    self.stream = stream
    self.comparison = comparison
    gone = seesEverything ? [] : nil
  }

  /// Moves on to the next path of the comparison.
  mutating func meet(_ path: RelativePath) {
    var passed: [RelativePath] = []
    stream.go(to: path) { if passed.count < Self.mostGone { passed.append($0) } }
    note(passed)
  }

  /// Whether the evidence of an earlier run shows that the last path's file and object are equal.
  func settles(_ difference: Difference) -> Bool {
    guard case .suspect(let file, let object) = difference else { return false }
    return comparison.isSettled(file.stamp, object, by: stream.entry)
  }

  /// The checksum that an earlier run noted of the last path's object.
  func checksum(of object: RemoteObject) -> UInt32? {
    stream.entry.flatMap { $0.etag == object.etag ? $0.crc32 : nil }
  }

  /// Deletes the evidence of paths that have neither a file nor an object, so that evidence does not outgrow
  /// the tree.
  ///
  /// - Parameter isOut: whether the comparison leaves a path out.
  mutating func finish(except isOut: (RelativePath) -> Bool) {
    var passed: [RelativePath] = []
    stream.finish { if passed.count < Self.mostGone { passed.append($0) } }
    note(passed)
    for path in gone ?? [] where !isOut(path) { store.noteDeleted(path) }
  }

  private mutating func note(_ passed: [RelativePath]) {
    guard let count = gone?.count, count < Self.mostGone else { return }
    // The comparison does not return a directory paired with its marker.
    for path in passed where DirectoryMarker(path) == nil { gone?.append(path) }
  }
}
