/// The paths of a batch that wait until an in-progress mark is on S3.
struct MarkHolds: Sendable {
  /// Whether a path waits for a mark.
  enum Hold: Sendable, Hashable {
    case none
    /// The path waits until the mark is published in this pass.
    case pending(RelativePath)
    /// The mark waits for a later pass, and so does the path.
    case blocked(RelativePath)

    /// The mark or unit because of which a path cannot begin in this pass; nil if it can.
    var obstacle: RelativePath? { if case .blocked(let path) = self { path } else { nil } }
  }

  private let marks: ProgressMarks
  /// Marks of the batch that are not published yet.
  private var pending: Set<RelativePath> = []
  /// Marks that are left for a later pass.
  private var later: Set<RelativePath>
  private var waiting: [RelativePath: [RelativePath]] = [:]

  /// - Parameter unpublished: the unpublished paths outside of the pass.
  init(_ marks: ProgressMarks, of entries: [RelativePath: DirtyEntry], unpublished: Set<RelativePath>) {
    self.marks = marks
    later = []
    if marks.isEmpty { return }
    for (path, entry) in entries where (!entry.isGone || entry.isBriefMark) && marks.contains(path) {
      // A pointer's object repeats a file, so it announces nothing.
      if entry.pointsTo == nil { pending.insert(path) }
    }
    later = unpublished.filter(marks.contains)
  }

  var isEmpty: Bool { pending.isEmpty && later.isEmpty }

  /// The marks, which begin before all other paths.
  var first: Set<RelativePath> { pending }

  func isPending(_ path: RelativePath) -> Bool { pending.contains(path) }

  func hold(of path: RelativePath) -> Hold {
    if isEmpty || pending.contains(path) { return .none }
    if let mark = later.first(where: { marks.speaks($0, for: path) }) { return .blocked(mark) }
    if let mark = pending.first(where: { marks.speaks($0, for: path) }) { return .pending(mark) }
    return .none
  }

  mutating func wait(_ path: RelativePath, for mark: RelativePath) {
    waiting[mark, default: []].append(path)
  }

  /// Notes that a mark is published, or that nothing is to be published for it.
  ///
  /// - Returns: the paths that waited for the mark.
  mutating func pass(_ mark: RelativePath) -> [RelativePath] {
    pending.remove(mark)
    return waiting.removeValue(forKey: mark) ?? []
  }

  /// Leaves a mark for a later pass.
  ///
  /// - Returns: the paths that waited for the mark.
  mutating func block(_ mark: RelativePath) -> [RelativePath] {
    later.insert(mark)
    return pass(mark)
  }

  /// Leaves all unpublished marks for a later pass.
  ///
  /// - Returns: the paths that waited for them.
  mutating func blockAll() -> [RelativePath] { pending.flatMap { block($0) } }
}

extension DirtySet.Batch {
  /// Lets a mark that came and went appear only if it announces something, and if the pass can delete its object
  /// again.
  mutating func settleBriefMarks(
    _ marks: ProgressMarks, _ removal: PassPlan.Removal, unpublished: Set<RelativePath>
  ) {
    for (mark, entry) in entries where entry.isBriefMark {
      let isToAppear: Bool
      switch removal {
      case .never, .later: isToAppear = false
      case .marks, .moves, .everything:
        isToAppear =
          entries.keys.contains { marks.speaks(mark, for: $0) }
          || goneDirectories.keys.contains { marks.speaks(mark, for: $0) }
          || unpublished.contains { marks.speaks(mark, for: $0) }
      }
      guard !isToAppear else { continue }
      entries[mark]?.isBriefMark = false
    }
  }
}
