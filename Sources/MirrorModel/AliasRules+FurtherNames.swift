// What follows for the other names of a file when one of its names changes.
extension AliasFacts {
  /// Adds further names to a batch: the other names of its files, of files that were written or have lost a
  /// name, and of files that changed in directories whose changes no event reports. A name is not added if
  /// the file's present version is published under it already. A name that link(2) made is to be copied from
  /// a name under which its file is published.
  ///
  /// - Parameters:
  ///   - directories: the directories that were compared in this pass.
  ///   - isWaiting: whether a name is dirty but not in the batch. The names of its file then wait for that
  ///     name's batch.
  ///   - isInFlight: whether the file is on its way to S3 under the name. A name in flight is not added unless
  ///     its file was written since, or the same bytes would be sent twice.
  /// - Returns: the names that were added because another name was closed. That may be the close for which
  ///   they wait.
  package mutating func addFurtherNames(
    to batch: inout DirtySet.Batch, compared directories: Set<RelativePath>, at now: Instant,
    isWaiting: (RelativePath) -> Bool, isInFlight: (RelativePath) -> Bool = { _ in false }
  ) -> [RelativePath] {
    var concerns = concerns(of: batch)
    let changed = takeConcerned(besides: concerns.keys, unless: isWaiting)
    for file in changed.written { concerns[file, default: Concern()].isWritten = true }
    for file in changed.bereft { concerns[file, default: Concern()].hasLostName = true }
    let recorded = noteRecorded(Set(concerns.keys))
    var closed: [RelativePath] = []
    for (file, concern) in concerns {
      let records = recorded[file, default: []]
      if !concern.isWritten { copyLinks(concern.paths, of: file, from: records, in: &batch) }
      let names = withTable { $0.names(of: file) }
      for path in names.union(records) where batch.entries[path] == nil && !isPointer(path) {
        guard let stamp = stamp(ofFileAt: path), AliasTable.File(stamp) == file else {
          withTable { $0.forgetFile(of: path) }
          continue
        }
        if isSettled(path, stamp, concern) { continue }
        if !concern.isWritten, !concern.hasLostName, isInFlight(path) { continue }
        if concern.entry?.writer == .closed { closed.append(path) }
        if isWaiting(path) { continue }
        batch.entries[path] = concern.entry.map(DirtyEntry.init(writtenElsewhere:)) ?? .foundWritten(at: now)
      }
    }
    for (path, stamp) in changedElsewhere(besides: directories)
    where batch.entries[path] == nil && !isPublished(path, stamp, .none) {
      batch.entries[path] = .foundWritten(at: now)
    }
    return closed
  }

  private mutating func isPointer(_ path: RelativePath) -> Bool {
    withTable { $0.pointers.contains(path) }
  }

  /// Adds to the paths outside of a pass the other names of their files, because a marker beside such a name
  /// must wait too. Finds the pointers among them.
  package mutating func addFurtherNames(
    to surroundings: inout PassPlan.Surroundings, of batch: DirtySet.Batch
  ) {
    let outside = surroundings.deferred.union(surroundings.stale)
    if batch.hasGone { meetLinks(outside) }
    surroundings.pointers = withTable { $0.pointers.targets(of: outside) }
    let deferred = surroundings.deferred
    surroundings.deferred = withTable { table in
      deferred.reduce(into: deferred) { $0.formUnion(table.others(of: $1)) }
    }
  }

  /// Notes where links lead that led to no file when a pass met them, or that no pass has met. Their objects may
  /// still show files that are deleted now.
  private mutating func meetLinks(_ paths: Set<RelativePath>) {
    let known = withTable { $0.pointers.targets(of: paths) }
    for path in paths where known[path] == nil {
      if case .file(let target, _) = pointing(of: path) {
        withTable { $0.pointers.note(path, leadingTo: target) }
      }
    }
  }

  /// Whether the file's present version is on S3 under this name, and no process is changing it.
  private mutating func isSettled(_ path: RelativePath, _ stamp: FileStamp, _ concern: Concern) -> Bool {
    // Not every filesystem changes the stamp with each write.
    if concern.isWritten { return false }
    guard
      isPublished(path, stamp, .renamed) || !hasObject(path) && withTable({ $0.isReckonedWith(stamp) })
    else { return false }
    return !concern.hasLostName || isWithoutWriter(path)
  }

  /// The files to which the paths of a batch lead or led.
  private mutating func concerns(of batch: DirtySet.Batch) -> [AliasTable.File: Concern] {
    var concerns: [AliasTable.File: Concern] = [:]
    // A pointer is no name of its target's file.
    for (path, entry) in batch.entries where entry.pointsTo == nil {
      guard let stamp = stamp(ofFileAt: path) else {
        withTable { $0.forgetFile(of: path) }
        continue
      }
      let now = wallClock
      let met = withTable { table in
        defer { table.note(path, stamp, metBy: .other, at: now) }
        return table.file(of: path)
      }
      let file = AliasTable.File(stamp)
      if file == met || stamp.links > 1 { concerns[file, default: Concern()].note(path, entry) }
    }
    return concerns
  }

  private mutating func takeConcerned(
    besides files: some Collection<AliasTable.File>, unless isWaiting: (RelativePath) -> Bool
  ) -> (written: Set<AliasTable.File>, bereft: Set<AliasTable.File>) {
    let ready = withTable { $0.concerned }.filter { !$0.value.contains(where: isWaiting) }
    let looked = Set(ready.keys).union(files)
    return withTable { $0.takeConcerned(looked) }
  }

  /// Marks new links for a copy, on the server, from a name under which their file is published. Their file
  /// was not written. A name that has the file's present version on S3 leaves the batch: to publish it again
  /// would withdraw the markers above it for nothing.
  private func copyLinks(
    _ paths: [RelativePath], of file: AliasTable.File, from records: Set<RelativePath>,
    in batch: inout DirtySet.Batch
  ) {
    if records.isEmpty { return }
    let links = paths.filter { batch.entries[$0]?.renamedFrom == nil }
    guard let first = links.first, isWithoutWriter(first) else { return }
    let origins = records.sorted()
    for path in links {
      guard let stamp = stamp(ofFileAt: path), AliasTable.File(stamp) == file else { continue }
      if isPublished(path, stamp, .renamed) {
        // The name was added while the file was on its way to S3 under this very name.
        batch.entries[path] = nil
        continue
      }
      let origin = origins.first { $0 != path && isPublished($0, stamp, .renamed) }
      if let origin { batch.entries[path]?.noteCopy(of: origin) }
    }
  }

  /// Names outside of the directories. Their files also have a name inside, and have changed since all their
  /// names were last checked.
  private mutating func changedElsewhere(
    besides directories: Set<RelativePath>
  ) -> [(RelativePath, FileStamp)] {
    guard !directories.isEmpty, !directories.contains(.root) else { return [] }
    let changed = withTable { $0.files(below: directories) }.filter { file, names in
      for path in names.paths {
        if let stamp = stamp(ofFileAt: path), AliasTable.File(stamp) == file {
          return !names.reckoning.covers(stamp)
        }
      }
      return true
    }
    guard !changed.isEmpty else { return [] }
    let recorded = noteRecorded(Set(changed.keys))
    var found: [(RelativePath, FileStamp)] = []
    for (file, names) in changed {
      var isReckoned = false
      for path in names.paths.union(recorded[file] ?? []) {
        guard let stamp = stamp(ofFileAt: path), AliasTable.File(stamp) == file else {
          withTable { $0.forgetFile(of: path) }
          continue
        }
        // The first stamp counts: a change while the other stamps are read must be found again.
        if !isReckoned {
          let now = wallClock
          withTable { $0.reckon(file, with: stamp, at: now) }
        }
        isReckoned = true
        if !path.isBelow(directories) { found.append((path, stamp)) }
      }
    }
    return found
  }

  /// Finds names that were published before their files had several names, and notes those whose files have
  /// several now.
  private mutating func noteRecorded(_ files: Set<AliasTable.File>) -> [AliasTable.File: Set<RelativePath>] {
    guard !files.isEmpty else { return [:] }
    var found: [AliasTable.File: Set<RelativePath>] = [:]
    for path in publishedPaths(of: files) where !isPointer(path) {
      guard let stamp = stamp(ofFileAt: path), files.contains(AliasTable.File(stamp)) else { continue }
      if stamp.links > 1 { note(path, stamp) }
      found[AliasTable.File(stamp), default: []].insert(path)
    }
    return found
  }
}

/// Why the names of a file are checked.
private struct Concern {
  /// The paths of the batch that lead to the file.
  var paths: [RelativePath] = []
  /// The entry of one of these paths.
  var entry: DirtyEntry?
  /// A write was reported.
  var isWritten = false
  /// The file has lost a name, perhaps the name under which a process has it open.
  var hasLostName = false

  mutating func note(_ path: RelativePath, _ entry: DirtyEntry) {
    paths.append(path)
    // An entry that was tried before reports no further write.
    if entry.writer != .unknown, !entry.wasTried { isWritten = true }
    if self.entry?.writer != .closed { self.entry = entry }
  }
}

extension DirtyEntry {
  /// The entry for another name of the file to which `entry` belongs.
  fileprivate init(writtenElsewhere entry: DirtyEntry) {
    self.init(
      writer: entry.writer.underAnotherName, firstChange: entry.firstChange, lastChange: entry.lastChange)
    isWrittenElsewhere = true
  }
}
