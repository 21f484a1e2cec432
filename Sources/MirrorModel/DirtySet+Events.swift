// How events change the set.
extension DirtySet {
  package mutating func note(_ event: WatchEvent, at now: Instant) {
    switch event {
    case .created(let path):
      touch(path, at: now, isNew: true) { $0.forgetFile() }
    case .linked(let path):
      touch(path, at: now) { $0.isLinked = true }
    case .found(let path):
      touch(path, at: now, isNew: newDirectories.contains(path.parent)) { entry in
        // What is met by listing may be another file than the one that was written under this name: where two files
        // exchanged names, no close would ever come. If it is open, the publication finds out.
        if entry.isOpen { entry.writer = .unknown }
        entry.wholeSince = entry.wholeSince ?? now
      }
    case .modified(let path):
      touch(path, at: now) { entry in
        entry.origin?.isUnchanged = false
        entry.writer.noteWrite(at: now)
      }
    case .closed(let path):
      touch(path, at: now) { entry in
        entry.origin?.isUnchanged = false
        entry.writer = .closed
        entry.wholeSince = entry.wholeSince ?? now
      }
    case .attributes:
      // IN_ATTRIB alone leaves the content as it is (CHG-1); the exit's reconciliation sees the later ctime.
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

  /// The root is there again: what it holds now must be compared.
  package mutating func noteRootReturned(at now: Instant) {
    isRootLost = false
    noteRescan(.root, .collapsed, at: now)
  }

  /// Notes that nobody has a file open for writing that counted as open, unless something happened to it since.
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
    // What is forgotten in favour of a comparison may have been whole before.
    if isForgetful(of: path) { entry.wholeSince = now }
    return entry
  }

  /// Names a path to be looked at, without saying that it changed.
  mutating func recheck(_ path: RelativePath, at now: Instant) {
    let isKnown = changed(path) != nil
    touch(path, at: now) { entry in
      entry.isNew = false
      entry.purpose = isKnown ? .change : .recheck
    }
  }

  /// A name that came and went between two ticks was never published and asks for nothing, unless it was one of several:
  /// what was written under it is the others' content too.
  private mutating func noteGone(_ path: RelativePath, at now: Instant) {
    if let entry = entries[path], entry.isNew, !entry.isLinked {
      entries[path] = nil
    } else {
      touch(path, at: now) { entry in
        entry.forgetFile()
        entry.purpose = .delete(.change)
      }
    }
    // Under its earlier names something else may be by now, so nothing but the need to look is noted.
    for name in aliases.earlierNames(of: path) { recheck(name, at: now) }
  }

  /// The entry of a path that is known to have changed.
  private func changed(_ path: RelativePath) -> DirtyEntry? {
    entries[path].flatMap { $0.purpose.isRecheck ? nil : $0 }
  }

  private mutating func noteRename(from: RelativePath, to: RelativePath, at now: Instant) {
    let moved = changed(from)
    // A directory that had the file's own name is none of it.
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
    // A file in its first writing was never whole; any other was, and under this name that is not published.
    if !entry.isOpen || !entry.isNew { entry.wholeSince = entry.wholeSince ?? now }
    // The target may replace a published file: then it is not "new", since its later deletion must reach S3.
    let replaced = entries[to]
    entry.isNew = newDirectories.contains(to.parent) && replaced?.isNew != false && !mayBePublished(to)
    if let replaced {
      entry.firstChange = min(entry.firstChange, replaced.firstChange)
      // A version that was whole before is not published either, and markers that came after it wait.
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
    // To forget newness costs a needless delete at the most.
    if newDirectories.count >= capacity { newDirectories = [] }
    newDirectories.insert(directory)
    // To forget one shows it earlier.
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
    // An entry of the directory's own name is a file's that had it before: no object below the directory.
    for (path, entry) in entries where path.isWithin(directory) && path != directory {
      oldest = min(oldest, entry.firstChange)
      // What lay here before the directory was made anew.
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
    // What a rename brought into a new directory may have objects under its earlier name.
    let names = isNew ? [] : [directory] + aliases.earlierNames(of: directory)
    for gone in names + aliases.origins(below: directory) { noteDeparture(of: gone, since: oldest, at: now) }
    joinGoneDirectories(since: oldest)
  }

  /// - Parameters:
  ///   - oldest: when the oldest change below it happened.
  ///   - now: when the watch told of it.
  private mutating func noteDeparture(of directory: RelativePath, since oldest: Instant, at now: Instant) {
    goneDirectories[directory] = min(oldest, goneDirectories[directory] ?? oldest)
    departures[directory] = now
  }

  /// Has everything compared in place of too many directories that are gone.
  private mutating func joinGoneDirectories(since instant: Instant) {
    guard goneDirectories.count > Self.directoryCapacity else { return }
    let oldest = goneDirectories.values.reduce(instant, min)
    goneDirectories = [:]
    departures = [:]
    noteRescan(.root, .collapsed, at: oldest)
  }

  /// Looks again at what a pass has in hand below a directory that is gone from its place.
  ///
  /// The directory may have come and gone before the watch could list it. Then no event names its files, yet a pass may
  /// have met and published them.
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
    // In the order of bytes, all that begins with `directory/` stands together.
    var index = paths.firstIndexNotBefore(directory.appending(""))
    while index < paths.count, paths[index].isWithin(directory) {
      recheck(paths[index], at: now)
      index += 1
    }
  }

  /// Forgets the comparisons below a directory that is gone.
  ///
  /// - Returns: since when they waited, where one of them stood for entries, of whose deletes nothing is known now, or has
  ///   begun; nil otherwise.
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
    // The close of a file that was being written may be among the lost events.
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
  /// Where, in a sorted list, the first path that is not before this one stands.
  fileprivate func firstIndexNotBefore(_ path: RelativePath) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < path { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
