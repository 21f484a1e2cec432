// What a change of one name of a file asks of the others.
extension AliasFacts {
  /// Adds to a batch the other names of the files in it, of files that were written or have lost a name, and of files that have changed
  /// in directories whose changes no event reports, unless the version that is there is published under them already. A
  /// name that a link made is to be copied from a name under which its file is published.
  ///
  /// - Parameters:
  ///   - directories: what was compared in this pass.
  ///   - isWaiting: whether a name is dirty and not in the batch; the names of its file go with the batch that it will be in.
  /// - Returns: the names that were added because another one was closed, which may be the close that they wait for.
  package mutating func addFurtherNames(
    to batch: inout DirtySet.Batch, compared directories: Set<RelativePath>, at now: Instant,
    isWaiting: (RelativePath) -> Bool
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
      for path in names.union(records) where batch.entries[path] == nil {
        guard let stamp = stamp(ofFileAt: path), AliasTable.File(stamp) == file else {
          withTable { $0.forgetFile(of: path) }
          continue
        }
        if isSettled(path, stamp, concern) { continue }
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

  /// Adds to what a pass leaves out the other names of those files: a marker beside one of them waits too.
  package mutating func addFurtherNames(to surroundings: inout PassPlan.Surroundings) {
    let deferred = surroundings.deferred
    surroundings.deferred = withTable { table in
      deferred.reduce(into: deferred) { $0.formUnion(table.others(of: $1)) }
    }
  }

  /// Whether what the file holds now is on S3 under this name, and stays as it is.
  private mutating func isSettled(_ path: RelativePath, _ stamp: FileStamp, _ concern: Concern) -> Bool {
    // Not every filesystem moves a stamp with each store.
    if concern.isWritten { return false }
    guard
      isPublished(path, stamp, .renamed) || !hasObject(path) && withTable({ $0.isReckonedWith(stamp) })
    else { return false }
    return !concern.hasLostName || isWithoutWriter(path)
  }

  /// The files that the paths of a batch lead to, or led to.
  private mutating func concerns(of batch: DirtySet.Batch) -> [AliasTable.File: Concern] {
    var concerns: [AliasTable.File: Concern] = [:]
    for (path, entry) in batch.entries {
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

  /// Has links that nobody wrote to copied from a name under which their file is published.
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
      let origin = origins.first { $0 != path && isPublished($0, stamp, .renamed) }
      if let origin { batch.entries[path]?.noteCopy(of: origin) }
    }
  }

  /// The names outside of the directories whose files have one inside and have changed since all their names were
  /// looked at.
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
        // The first of the stamps: what changes while the others are taken has to be found out again.
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

  /// Looks for names that were published when their files had no other yet, and keeps those that have one now.
  private mutating func noteRecorded(_ files: Set<AliasTable.File>) -> [AliasTable.File: Set<RelativePath>] {
    guard !files.isEmpty else { return [:] }
    var found: [AliasTable.File: Set<RelativePath>] = [:]
    for path in publishedPaths(of: files) {
      guard let stamp = stamp(ofFileAt: path), files.contains(AliasTable.File(stamp)) else { continue }
      if stamp.links > 1 { note(path, stamp) }
      found[AliasTable.File(stamp), default: []].insert(path)
    }
    return found
  }
}

/// Why the names of a file are looked at.
private struct Concern {
  /// Those of the batch that lead to it.
  var paths: [RelativePath] = []
  /// What the batch knows of one of them.
  var entry: DirtyEntry?
  /// A write was reported.
  var isWritten = false
  /// It has lost a name, and so perhaps the one that its writer has it open by.
  var hasLostName = false

  mutating func note(_ path: RelativePath, _ entry: DirtyEntry) {
    paths.append(path)
    // What comes back is no further write.
    if entry.writer != .unknown, !entry.wasTried { isWritten = true }
    if self.entry?.writer != .closed { self.entry = entry }
  }
}

extension DirtyEntry {
  /// Of another name of a file of which the entry tells.
  fileprivate init(writtenElsewhere entry: DirtyEntry) {
    self.init(
      writer: entry.writer.underAnotherName, firstChange: entry.firstChange, lastChange: entry.lastChange)
    isWrittenElsewhere = true
  }
}
