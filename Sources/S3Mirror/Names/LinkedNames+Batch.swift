import LocalTree
import MirrorModel

// What a change of one name asks of the others.
extension LinkedNames {
  /// Adds to a batch the other names of the files in it, of files that were written or lost a name, and of those that
  /// changed below directories whose changes no event tells of, unless what they hold now is published under them already.
  /// A link to what is published under another name is to be copied from there.
  ///
  /// - Parameters:
  ///   - directories: what was compared in this pass.
  ///   - isWaiting: whether a name is dirty and not in the batch; the names of its file go with the one that it will be in.
  /// - Returns: the names that were added because another one was closed, which may be the close that they wait for.
  func complete(
    _ batch: inout DirtySet.Batch, compared directories: Set<RelativePath>, in root: TreeRoot,
    ledger: PublishedLedger, isWaiting: (RelativePath) -> Bool
  ) -> [RelativePath] {
    var concerns = concerns(of: batch, in: root)
    let changed = takeChanged(besides: concerns.keys, unless: isWaiting)
    for file in changed.written { concerns[file, default: Concern()].isWritten = true }
    for file in changed.bereft { concerns[file, default: Concern()].hasLostName = true }
    let recorded = noteRecorded(Set(concerns.keys), in: root, ledger)
    var closed: [RelativePath] = []
    for (file, concern) in concerns {
      let records = recorded[file, default: []]
      if !concern.isWritten { copyLinks(concern.paths, of: file, from: records, in: &batch, root, ledger) }
      for path in names(of: file).union(records) where batch.entries[path] == nil {
        guard let stamp = root.stamp(ofFileAt: path), File(stamp) == file else {
          forget(path)
          continue
        }
        if isPublished(path, stamp, concern, in: root, ledger) { continue }
        if concern.entry?.writer == .closed { closed.append(path) }
        if isWaiting(path) { continue }
        batch.entries[path] = concern.entry.map(DirtyEntry.init(writtenElsewhere:)) ?? .foundWritten
      }
    }
    for (path, stamp) in changedElsewhere(besides: directories, in: root, ledger)
    where batch.entries[path] == nil
      && ledger.record(of: path, matching: stamp, ignoringChangeTime: .untouched) == nil
    {
      batch.entries[path] = .foundWritten
    }
    return closed
  }

  /// Why the names of a file are looked at.
  private struct Concern {
    /// Those of the batch that lead to it.
    var paths: [RelativePath] = []
    /// What the batch knows of one of them.
    var entry: DirtyEntry?
    /// Somebody wrote to it.
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

  /// Whether what the file holds now is on S3 under this name.
  private func isPublished(
    _ path: RelativePath, _ stamp: FileStamp, _ concern: Concern, in root: TreeRoot, _ ledger: PublishedLedger
  ) -> Bool {
    // Not every filesystem moves a stamp with each store.
    if concern.isWritten { return false }
    // That a name came or went moves ctime alone.
    guard
      ledger.record(of: path, matching: stamp, ignoringChangeTime: .renamed) != nil
        || ledger.etag(of: path) == nil && isReckoned(stamp)
    else { return false }
    return !concern.hasLostName || root.isWithoutWriter(path)
  }

  /// The files that the paths of a batch lead to, or led to.
  private func concerns(of batch: DirtySet.Batch, in root: TreeRoot) -> [File: Concern] {
    var concerns: [File: Concern] = [:]
    for (path, entry) in batch.entries {
      let met = file(of: path)
      guard let stamp = root.stamp(ofFileAt: path) else {
        forget(path)
        continue
      }
      note(path, stamp)
      let file = File(stamp)
      if file == met || stamp.links > 1 { concerns[file, default: Concern()].note(path, entry) }
    }
    return concerns
  }

  /// Has links that nobody wrote to copied from a name under which their file is published.
  private func copyLinks(
    _ paths: [RelativePath], of file: File, from records: Set<RelativePath>, in batch: inout DirtySet.Batch,
    _ root: TreeRoot, _ ledger: PublishedLedger
  ) {
    if records.isEmpty { return }
    let links = paths.filter { batch.entries[$0]?.renamedFrom == nil }
    guard let first = links.first, root.isWithoutWriter(first) else { return }
    let origins = records.sorted()
    for path in links {
      guard let stamp = root.stamp(ofFileAt: path), File(stamp) == file else { continue }
      let origin = origins.first {
        $0 != path && ledger.record(of: $0, matching: stamp, ignoringChangeTime: .renamed) != nil
      }
      if let origin { batch.entries[path]?.noteCopy(of: origin) }
    }
  }

  /// The names outside of the directories whose files have one inside and have changed since all their names were
  /// looked at.
  private func changedElsewhere(
    besides directories: Set<RelativePath>, in root: TreeRoot, _ ledger: PublishedLedger
  ) -> [(RelativePath, FileStamp)] {
    guard !directories.isEmpty, !directories.contains(.root) else { return [] }
    let changed = files(below: directories).filter { file, names in
      for path in names.paths {
        if let stamp = root.stamp(ofFileAt: path), File(stamp) == file { return stamp != names.reckoned }
      }
      return true
    }
    guard !changed.isEmpty else { return [] }
    let recorded = noteRecorded(Set(changed.keys), in: root, ledger)
    var found: [(RelativePath, FileStamp)] = []
    for (file, names) in changed {
      var isReckoned = false
      for path in names.paths.union(recorded[file] ?? []) {
        guard let stamp = root.stamp(ofFileAt: path), File(stamp) == file else {
          forget(path)
          continue
        }
        // The first of the stamps: what changes while the others are taken has to be found out again.
        if !isReckoned { reckon(file, at: stamp) }
        isReckoned = true
        if !path.isBelow(directories) { found.append((path, stamp)) }
      }
    }
    return found
  }

  /// Looks for names that were published when their files had no other yet, and keeps those that have one now.
  private func noteRecorded(_ files: Set<File>, in root: TreeRoot, _ ledger: PublishedLedger)
    -> [File: Set<RelativePath>]
  {
    guard !files.isEmpty else { return [:] }
    var found: [File: Set<RelativePath>] = [:]
    for path in ledger.paths(where: { files.contains(File($0)) }) {
      guard let stamp = root.stamp(ofFileAt: path), files.contains(File(stamp)) else { continue }
      if stamp.links > 1 { note(path, stamp) }
      found[File(stamp), default: []].insert(path)
    }
    return found
  }
}

extension RelativePath {
  func isBelow(_ directories: Set<RelativePath>) -> Bool {
    ancestors.contains { directories.contains($0) }
  }
}

extension DirtyEntry {
  /// Of another name of a file of which the entry tells.
  fileprivate init(writtenElsewhere entry: DirtyEntry) {
    self.init(
      writer: entry.writer.underAnotherName, firstChange: entry.firstChange, lastChange: entry.lastChange)
    isWrittenElsewhere = true
  }

  /// Of a name whose file was written, nobody knows when.
  fileprivate static var foundWritten: DirtyEntry {
    var entry = DirtyEntry(at: .now)
    entry.isWrittenElsewhere = true
    return entry
  }
}
