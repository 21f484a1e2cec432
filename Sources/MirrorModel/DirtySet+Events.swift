// Applies events to the set.
extension DirtySet {
  package mutating func note(_ event: WatchEvent, at now: Instant) {
    switch event {
    case .created(let path):
      touch(path, at: now, isNew: true) { $0.forgetFile() }
    case .linked(let path):
      touch(path, at: now) { $0.isLinked = true }
    case .found(let path):
      touch(path, at: now, isNew: newDirectories.contains(path.parent)) { entry in
        // A file found by a listing may differ from the file that was written under this name. If two files
        // exchanged names, no close would ever be reported. If the file is open, the publication detects it.
        if entry.isOpen { entry.writer = .unknown }
        entry.wholeSince = entry.wholeSince ?? now
      }
    case .modified(let path):
      touch(path, at: now) { entry in
        entry.origin?.isUnchanged = false
        // Nobody had the file open under this name before, so what link(2) named may have been complete.
        if entry.isLinked, entry.writer == .unknown {
          entry.wholeSince = entry.wholeSince ?? entry.firstChange
        }
        entry.writer.noteWrite(at: now)
      }
    case .closed(let path):
      touch(path, at: now) { entry in
        entry.origin?.isUnchanged = false
        entry.writer = .closed
        entry.wholeSince = entry.wholeSince ?? now
      }
    case .attributes:
      // IN_ATTRIB alone reports no change of content (CHG-1). The comparison at exit sees the later ctime.
      break
    case .deleted(let path):
      noteGone(path, at: now)
    case .undecodable(let path):
      touch(path, at: now) { $0.purpose = .undecodable }
    case .renamed(let from, let to):
      noteRename(from: from, to: to, at: now)
    case .directoryAppeared(let directory):
      noteNewDirectory(directory)
    case .directoryDeleted(let directory):
      if let oldest = dropRescans(within: directory, at: now) {
        noteDeparture(of: directory, since: oldest, at: now)
        joinGoneDirectories(since: oldest)
      }
      newDirectories.remove(directory)
      unseenDirectories.remove(directory)
      lookAgain(below: directory, at: now)
    case .directoryRenamed(let from, let to):
      noteDirectoryRename(from: from, to: to)
      lookAgain(below: from, at: now)
    case .directoryMovedAway(let directory):
      noteDirectoryGone(directory, at: now)
    case .rescan(let directory, let reason):
      noteRescan(directory, reason, at: now)
    case .rootLost:
      isRootLost = true
    }
  }

  /// Records that the root exists again. Its whole content must be compared.
  package mutating func noteRootReturned(at now: Instant) {
    isRootLost = false
    noteRescan(.root, .collapsed, at: now)
  }

  /// Records that no process has an open file open for writing any more. Nothing changes if an event came
  /// since.
  mutating func noteWriterGone(_ path: RelativePath, knownAs known: DirtyEntry) {
    guard known.isOpen, entries[path] == known else { return }
    entries[path]?.noteWriterGone()
  }

  // MARK: Files

  private mutating func touch(
    _ path: RelativePath, at now: Instant, isNew: Bool = false, change: (inout DirtyEntry) -> Void
  ) {
    var entry = entries[path] ?? fresh(path, at: now, isNew: isNew)
    entry.lastChange = now
    entry.purpose = .change
    change(&entry)
    entries[path] = entry
    if !withheldDeletes.isEmpty { withheldDeletes.remove(path) }
    if entries.count > capacity { collapse() }
  }

  private func fresh(_ path: RelativePath, at now: Instant, isNew: Bool) -> DirtyEntry {
    var entry = DirtyEntry(at: now, isNew: isNew && !mayBePublished(path))
    // A rescan may have replaced an earlier entry whose version was complete.
    if isForgetful(of: path) { entry.wholeSince = now }
    return entry
  }

  /// Marks a path for a recheck, without reporting a change.
  mutating func recheck(_ path: RelativePath, at now: Instant) {
    let isKnown = changed(path) != nil
    touch(path, at: now) { entry in
      entry.isNew = false
      entry.purpose = isKnown ? .change : .recheck
    }
  }

  /// Records that a name was deleted. A name that was created and deleted between two ticks was never
  /// published, so its entry is dropped. The entry stays if the file had several names: what was written
  /// under this name changed the content of the others.
  private mutating func noteGone(_ path: RelativePath, at now: Instant) {
    if let entry = entries[path], entry.isNew, !entry.isLinked {
      entries[path] = nil
    } else {
      touch(path, at: now) { entry in
        entry.forgetFile()
        entry.purpose = .delete(.change)
      }
    }
    // Other files may have the earlier names by now, so these names are only rechecked.
    for name in aliases.earlierNames(of: path) { recheck(name, at: now) }
  }

  /// Keeps a mark that was deleted before a pass could publish it.
  ///
  /// - Parameter entry: what was known of the mark before it was deleted.
  mutating func noteBriefMark(_ path: RelativePath, knownAs entry: DirtyEntry, at now: Instant) {
    if entry.isGone { return }
    var mark = DirtyEntry(
      .delete(.change), firstChange: entry.firstChange, lastChange: now, isNew: entry.isNew)
    mark.isBriefMark = true
    entries[path] = mark
  }

  /// The entry of a path that is known to have changed.
  private func changed(_ path: RelativePath) -> DirtyEntry? {
    entries[path].flatMap { $0.purpose.isRecheck ? nil : $0 }
  }

  private mutating func noteRename(from: RelativePath, to: RelativePath, at now: Instant) {
    let moved = changed(from)
    // The parent is looked up, not the file: a directory that once had the file's own path is unrelated to
    // the file.
    let earlier = aliases.nameWhenTaken(of: from.parent)?.appending(from.name) ?? from
    let known = moved ?? changed(earlier)
    noteGone(from, at: now)
    var entry = moved ?? DirtyEntry(at: now)
    entry.lastChange = now
    entry.purpose = .change
    if let origin = known?.origin {
      entry.origin = origin
    } else if moved?.isNew != true {
      entry.origin = .init(earlier, isUnchanged: known == nil)
      entry.origin?.isInHand = (isRunning && underWay.entries[earlier] != nil) || inFlight[earlier] != nil
    }
    // A file in its first writing was never complete. Any other file was complete, and is not yet published
    // under the new name.
    if !entry.isOpen || !entry.isNew { entry.wholeSince = entry.wholeSince ?? now }
    // The target may replace a published file. Then the target is not "new": a later delete of it must reach
    // S3.
    let replaced = entries[to]
    entry.isNew = newDirectories.contains(to.parent) && replaced?.isNew != false && !mayBePublished(to)
    if let replaced {
      entry.firstChange = min(entry.firstChange, replaced.firstChange)
      // The replaced file had a complete version that is not published either. Markers that changed after it
      // wait.
      if replaced.holdsMarkers, let since = entry.wholeSince {
        entry.wholeSince = min(since, replaced.wholeSince ?? replaced.firstChange)
      }
    }
    entries[to] = entry
    withheldDeletes.remove(to)
    if entries.count > capacity { collapse() }
  }

  // MARK: Directories

  private mutating func noteNewDirectory(_ directory: RelativePath) {
    // If new directories are forgotten, the cost is at most a needless delete.
    if newDirectories.count >= capacity { newDirectories = [] }
    newDirectories.insert(directory)
    // If unseen directories are forgotten, a tick may publish them earlier.
    if unseenDirectories.count >= capacity { unseenDirectories = [] }
    unseenDirectories.insert(directory)
  }

  private mutating func noteDirectoryRename(from: RelativePath, to: RelativePath) {
    let isNew = newDirectories.contains(from) && !mayBePublished(from)
    for (directory, reason) in rescans where directory.isWithin(from) && !directory.isRoot {
      rescans[directory] = nil
      rescans[directory.moved(from: from, to: to)] = reason
    }
    newDirectories.move(from: from, to: to)
    unseenDirectories.move(from: from, to: to)
    if !isNew { aliases.note(from: from, to: to) }
  }

  private mutating func noteDirectoryGone(_ directory: RelativePath, at now: Instant) {
    var isNew = newDirectories.contains(directory) && !mayBePublished(directory)
    var oldest = now
    // An entry with the directory's own path belongs to a file that had the name before. Its object does not
    // lie below the directory.
    for (path, entry) in entries where path.isWithin(directory) && path != directory {
      oldest = min(oldest, entry.firstChange)
      // This path existed below an earlier directory of the same name.
      if !entry.isNew { isNew = false }
      entries[path] = nil
    }
    if let forgotten = dropRescans(within: directory, at: now) {
      oldest = min(oldest, forgotten)
      isNew = false
    }
    newDirectories = newDirectories.filter { !$0.isWithin(directory) }
    unseenDirectories = unseenDirectories.filter { !$0.isWithin(directory) }
    if isNew { lookAgain(below: directory, at: now) }
    // A directory that was renamed into a new directory may have objects under its earlier name.
    let names = isNew ? [] : [directory] + aliases.earlierNames(of: directory)
    for gone in names + aliases.origins(below: directory) { noteDeparture(of: gone, since: oldest, at: now) }
    joinGoneDirectories(since: oldest)
  }

  /// - Parameters:
  ///   - oldest: when the oldest change below it happened.
  ///   - now: when the watch reported the removal.
  private mutating func noteDeparture(of directory: RelativePath, since oldest: Instant, at now: Instant) {
    goneDirectories[directory] = min(oldest, goneDirectories[directory] ?? oldest)
    departures[directory] = now
  }

  /// Compares the whole tree if too many directories are gone.
  private mutating func joinGoneDirectories(since instant: Instant) {
    guard goneDirectories.count > Self.directoryCapacity else { return }
    let oldest = goneDirectories.values.reduce(instant, min)
    goneDirectories = [:]
    departures = [:]
    noteRescan(.root, .collapsed, at: oldest)
  }

  /// Rechecks what a pass is publishing below a directory that was removed or renamed.
  ///
  /// If the directory was created and removed before the watch could list it, no event names its files. A
  /// pass may have found and published them all the same.
  private mutating func lookAgain(below directory: RelativePath, at now: Instant) {
    if !underWay.rescans.isEmpty,
      ([directory] + directory.ancestors).contains(where: { underWay.rescans[$0] != nil })
    {
      noteDeparture(of: directory, since: now, at: now)
    }
    for gone in underWay.goneDirectories.keys where gone.isWithin(directory) || directory.isWithin(gone) {
      noteDeparture(of: gone, since: now, at: now)
    }
    for path in inFlight.keys where path.isWithin(directory) && underWay.entries[path] == nil {
      recheck(path, at: now)
    }
    guard !underWay.entries.isEmpty else { return }
    let paths = sortedUnderWay ?? underWay.entries.keys.sorted()
    sortedUnderWay = paths
    // In byte order, all paths that begin with `directory/` are adjacent.
    var index = paths.firstIndexNotBefore(directory.appending(""))
    while index < paths.count, paths[index].isWithin(directory) {
      recheck(paths[index], at: now)
      index += 1
    }
  }

  /// Forgets the comparisons below a directory that was removed.
  ///
  /// - Returns: when the oldest comparison was requested, if one of the forgotten comparisons replaced
  ///   entries (their deletes are then unknown) or is being worked on; nil otherwise.
  private mutating func dropRescans(within directory: RelativePath, at now: Instant) -> Instant? {
    if rescans.isEmpty && underWay.rescans.isEmpty { return nil }
    let stoodForEntries = [rescans, underWay.rescans].contains {
      $0.contains { $0.key.isWithin(directory) && !$0.value.isStanding }
    }
    let oldest = min(oldestRescan ?? now, now)
    rescans = rescans.filter { !$0.key.isWithin(directory) }
    if rescans.isEmpty { oldestRescan = nil }
    return stoodForEntries ? oldest : nil
  }

  mutating func noteRescan(_ directory: RelativePath, _ reason: RescanReason, at now: Instant) {
    rescans[directory] = reason
    oldestRescan = min(oldestRescan ?? now, now)
    if rescans.count > Self.directoryCapacity { joinRescans() }
    guard reason == .queueOverflow else { return }
    // The lost events may include the close of a file that was being written.
    for (path, entry) in entries where path.isWithin(directory) && entry.isOpen {
      entries[path]?.writer = .unknown
    }
  }
}

extension Set<RelativePath> {
  /// Renames what lies within a directory, and the directory itself.
  fileprivate mutating func move(from: RelativePath, to: RelativePath) {
    for path in self where path.isWithin(from) {
      remove(path)
      insert(path.moved(from: from, to: to))
    }
  }
}

extension [RelativePath] {
  /// The index of the first path that is not less than this one, in a sorted list.
  fileprivate func firstIndexNotBefore(_ path: RelativePath) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < path { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
