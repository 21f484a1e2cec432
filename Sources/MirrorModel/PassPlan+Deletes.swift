// Deletes, after all publications of a pass.
extension PassPlan {
  mutating func endPublishing() -> Action {
    assert(gates.areDecided, "a marker was neither published nor left for a later pass")
    stage = .over
    let hasGone =
      !absent.isEmpty || !batch.goneDirectories.isEmpty || !batch.withheldDeletes.isEmpty
    switch removal {
    case .never:
      result.settled += absent
      return .over
    case .later:
      postpone()
      return .over
    case .marks, .moves, .everything:
      guard hasGone else { return .over }
      if hasFailed {
        // The delete of an in-progress mark depends only on the paths that the mark announces.
        let marks = absent.filter(order.marks.contains)
        absent.removeAll(where: order.marks.contains)
        postpone()
        guard !marks.isEmpty else { return .over }
        absent = marks
        isLimitedToMarks = true
      }
      stage = .origins
      return .askForOrigins
    }
  }

  /// - Parameters:
  ///   - elsewhere: old names of renamed files that are dirty outside of the pass.
  ///   - isPublished: whether this run published the object under a name.
  package mutating func note(
    origins elsewhere: Set<RelativePath>, isPublished: (RelativePath) -> Bool
  ) {
    // The old object of a renamed file stays until the new one is published.
    let kept = result.unpublished.entries.values.compactMap(\.origin?.path)
    let origins = batch.origins(elsewhere.union(kept), absent: absent)
    let published = Set(result.met)
    let moved = Set(
      batch.entries.compactMap { path, entry in published.contains(path) ? entry.origin?.path : nil })
    var directories = isLimitedToMarks ? [:] : batch.goneDirectories
    var withheld = isLimitedToMarks ? [] : batch.withheldDeletes
    if removal != .everything {
      let (left, gone) = absent.partitioned {
        if order.marks.contains($0) { return true }
        return removal == .moves && (moved.contains($0) || origins.contains($0)) && isPublished($0)
      }
      result.settled += gone
      absent = left
      directories = [:]
      withheld = []
    }
    // A file in flight that changed before a delete may replace the deleted file, so the delete waits.
    let flights = surroundings.inFlight.merging(detached) { $1 }
    let oldestChange = flights.values.lazy.map(\.firstChange).min()
    /// - Parameter deletion: nil if its time is not known.
    func isAhead(of deletion: Instant?) -> Bool {
      guard let oldestChange else { return false }
      return deletion.map { oldestChange <= $0 } ?? true
    }
    let (early, due) = absent.partitioned { path in
      isAhead(of: batch.entries[path].flatMap { $0.isGone ? $0.lastChange : nil })
    }
    for path in early { comeBack(path) }
    for (directory, since) in directories where isAhead(of: surroundings.departures[directory]) {
      result.unpublished.goneDirectories[directory] = since
      directories[directory] = nil
    }
    // Objects that an old marker on S3 may name stay until the marker's new version is published.
    let later = surroundings.deferred.union(surroundings.stale).union(result.unpublished.entries.keys)
      .union(flights.keys).union(result.superseded.subtracting(result.held))
    let markers = later.filter(order.isMarker)
    // The same holds for what an old pointer on S3 may show.
    let pointed = later.compactMap { path in
      pointee(of: path, inFlight: flights).map { (path, path.commonDirectory(with: $0)) }
    }
    // An in-progress mark stays until everything that it announces is published.
    let isNamed: @Sendable (RelativePath) -> Bool = { [marks = order.marks] path in
      markers.contains { path.isWithin($0.parent) && path != $0 }
        || pointed.contains { pointer, directory in path.isWithin(directory) && path != pointer }
        || marks.contains(path) && later.contains { marks.speaks(path, for: $0) }
    }
    for (directory, since) in directories where isNamed(directory) {
      result.unpublished.goneDirectories[directory] = since
      directories[directory] = nil
    }
    stage = .listing(
      DeleteStage(
        due: due, directories: directories, withheld: withheld, origins: origins, moved: moved,
        gone: Set(absent), isNamed: isNamed))
    settleDeletes()
  }

  /// The file to which a pointer leads that is not published yet; nil if the path is no pointer.
  private func pointee(
    of path: RelativePath, inFlight flights: [RelativePath: DirtyEntry]
  ) -> RelativePath? {
    result.unpublished.entries[path]?.pointsTo ?? batch.entries[path]?.pointsTo ?? flights[path]?.pointsTo
      ?? surroundings.pointers[path]
  }

  /// - Parameter objects: the objects below the directory; nil if it could not be listed.
  package mutating func note(listing objects: [(RelativePath, RemoteObject)]?, of directory: RelativePath) {
    guard case .listing(var deletes) = stage, let since = deletes.directories[directory] else { return }
    deletes.noteListed()
    if let objects {
      deletes.take(objects, since: since)
    } else {
      result.unpublished.goneDirectories[directory] = since
    }
    stage = .listing(deletes)
    settleDeletes()
  }

  /// After all listings, makes the paths dirty again whose deletes must wait.
  private mutating func settleDeletes() {
    guard case .listing(var deletes) = stage, deletes.nextListing == nil else { return }
    let (waiting, listed) = deletes.settle()
    for path in waiting { comeBack(path) }
    for (path, since) in listed where result.unpublished.entries[path] == nil {
      result.unpublished.entries[path] = DirtyEntry(.keepForHeir, at: since)
    }
    result.unpublished.withheldDeletes.formUnion(deletes.heldBack)
    stage = .listing(deletes)
  }

  /// - Parameters:
  ///   - done: paths whose objects were deleted, or that had none.
  ///   - kept: paths whose files exist after all.
  ///   - withheld: paths whose deletes the guard does not allow.
  package mutating func note(
    deleted done: [RelativePath], kept: [RelativePath], withheld: some Sequence<RelativePath>,
    failed: some Sequence<RelativePath>
  ) {
    stage = .over
    result.removed += done
    result.met += kept
    result.unpublished.withheldDeletes.formUnion(withheld)
    for path in failed {
      comeBack(path)
      if batch.withheldDeletes.contains(path) { result.unpublished.withheldDeletes.insert(path) }
      for (directory, since) in batch.goneDirectories where path.isWithin(directory) {
        result.unpublished.goneDirectories[directory] = since
      }
    }
  }

  /// Makes a path dirty again for which only the delete is left to do.
  private mutating func comeBack(_ path: RelativePath) {
    guard var entry = batch.entries[path] else { return }
    entry.purpose.noteAbsence()
    // A mark that has been shown has an object to delete.
    entry.isBriefMark = false
    entry.isNew = false
    result.unpublished.entries[path] = entry
  }

  private mutating func postpone() {
    for path in absent { comeBack(path) }
    result.unpublished.goneDirectories = batch.goneDirectories
    result.unpublished.withheldDeletes = batch.withheldDeletes
  }
}

/// The deletes at the end of a pass: names that are gone, and objects below directories that have left the
/// tree.
struct DeleteStage: Sendable {
  /// Names that are gone.
  let due: [RelativePath]
  let directories: [RelativePath: Instant]
  /// Names whose deletes were withheld by earlier passes.
  let withheld: Set<RelativePath>
  /// Old names of renamed files whose objects are kept.
  let origins: Set<RelativePath>
  let moved: Set<RelativePath>
  /// All names that are gone, including those whose deletes wait.
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

  /// The next directory to list; nil if all are listed.
  var nextListing: RelativePath? { unlisted.last }

  mutating func noteListed() { unlisted.removeLast() }

  mutating func take(_ objects: [(RelativePath, RemoteObject)], since: Instant) {
    for (path, object) in objects {
      let isNew = listed.updateValue((object, since), forKey: path) == nil
      if isNew, !gone.contains(path) { candidates.append(path) }
    }
  }

  /// Separates the paths that may be deleted from those that must wait.
  ///
  /// - Returns: paths of the batch that wait, and listed objects that are kept for a renamed file.
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
