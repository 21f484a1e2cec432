/// What a pass deletes at its end: names that are gone, and objects below directories that have left the tree.
struct DeleteStage: Sendable {
  /// Names that are gone.
  let due: [RelativePath]
  let directories: [RelativePath: Instant]
  /// Names whose deletes earlier passes have withheld.
  let withheld: Set<RelativePath>
  /// Names that are kept for the files that left them.
  let origins: Set<RelativePath>
  let moved: Set<RelativePath>
  /// All names that are gone, those among them that wait.
  let gone: Set<RelativePath>
  /// Whether an old marker on S3 may name a path.
  let isNamed: @Sendable (RelativePath) -> Bool

  private var unlisted: [RelativePath]
  private var listed: [RelativePath: (object: RemoteObject, since: Instant)] = [:]
  private var candidates: [RelativePath]
  private var ready: [RelativePath] = []
  private(set) var heldBack: Set<RelativePath> = []

  init(
    due: [RelativePath], directories: [RelativePath: Instant], withheld: Set<RelativePath>,
    origins: Set<RelativePath>, moved: Set<RelativePath>, gone: Set<RelativePath>,
    isNamed: @escaping @Sendable (RelativePath) -> Bool
  ) {
    self.due = due
    self.directories = directories
    self.withheld = withheld
    self.origins = origins
    self.moved = moved
    self.gone = gone
    self.isNamed = isNamed
    unlisted = directories.keys.sorted { $1 < $0 }
    candidates = due.filter { !isNamed($0) }
  }

  /// The next directory to list; nil where all are listed.
  var nextListing: RelativePath? { unlisted.last }

  mutating func noteListed() { unlisted.removeLast() }

  mutating func take(_ objects: [(RelativePath, RemoteObject)], since: Instant) {
    for (path, object) in objects {
      let isNew = listed.updateValue((object, since), forKey: path) == nil
      if isNew, !gone.contains(path) { candidates.append(path) }
    }
  }

  /// Parts what may go from what has to wait.
  ///
  /// - Returns: names of the batch that wait, and listed objects that are kept for a file that left them.
  mutating func settle() -> (waiting: [RelativePath], kept: [(RelativePath, since: Instant)]) {
    let (needed, ready) = candidates.partitioned(by: origins.contains)
    let (held, free) = Array(withheld.subtracting(candidates)).partitioned {
      isNamed($0) || origins.contains($0)
    }
    self.ready = ready + free
    heldBack = Set(held)
    let waiting = due.filter { isNamed($0) || origins.contains($0) }
    return (waiting, needed.compactMap { path in listed[path].map { (path, $0.since) } })
  }

  var deletion: PassPlan.Deletion {
    PassPlan.Deletion(paths: ready, moved: moved, listed: listed.mapValues(\.object), known: withheld)
  }
}
