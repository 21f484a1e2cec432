/// What of a batch waits until an in-progress mark is on S3.
struct MarkHolds: Sendable {
  /// What a path waits for.
  enum Hold: Sendable, Hashable {
    case none
    /// Until the mark is published in this pass.
    case pending(RelativePath)
    /// The mark waits for a later pass, and the path with it.
    case blocked(RelativePath)

    /// What a path waits for that no longer can begin in this pass.
    var obstacle: RelativePath? { if case .blocked(let path) = self { path } else { nil } }
  }

  private let marks: ProgressMarks
  /// Marks of the batch that are not published yet.
  private var pending: Set<RelativePath> = []
  /// Marks that no pass has published.
  private var later: Set<RelativePath>
  private var waiting: [RelativePath: [RelativePath]] = [:]

  /// - Parameter unpublished: what waits outside of the pass.
  init(_ marks: ProgressMarks, of entries: [RelativePath: DirtyEntry], unpublished: Set<RelativePath>) {
    self.marks = marks
    later = []
    if marks.isEmpty { return }
    for (path, entry) in entries where !entry.isGone && marks.contains(path) { pending.insert(path) }
    later = unpublished.filter(marks.contains)
  }

  var isEmpty: Bool { pending.isEmpty && later.isEmpty }

  /// The marks that go first.
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

  /// Notes that a mark is published, or never will be.
  ///
  /// - Returns: what waited for it.
  mutating func pass(_ mark: RelativePath) -> [RelativePath] {
    pending.remove(mark)
    return waiting.removeValue(forKey: mark) ?? []
  }

  /// Leaves a mark for a later pass.
  ///
  /// - Returns: what waited for it.
  mutating func block(_ mark: RelativePath) -> [RelativePath] {
    later.insert(mark)
    return pass(mark)
  }

  /// Leaves all marks that are not published for a later pass.
  ///
  /// - Returns: what waited for them.
  mutating func blockAll() -> [RelativePath] { pending.flatMap { block($0) } }
}
