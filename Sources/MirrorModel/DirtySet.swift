/// Instants are passed in, so that everything here can be run by a test's own clock.
package typealias Instant = ContinuousClock.Instant

/// What is known of one path that changed since it was last published.
package struct DirtyEntry: Sendable, Hashable {
  package enum Writing: Sendable, Hashable {
    /// Created, found or renamed: no write was seen.
    case unknown
    /// Written, and not closed since `since`.
    case open(since: Instant)
    /// The last write was closed.
    case closed
  }

  package var writing: Writing
  /// When the oldest change that is not yet published happened; the recovery point is its age.
  package var firstChange: Instant
  package var lastChange: Instant
  /// The name came into being after the set was last taken, so nothing of this run lies under its key.
  package var isNew: Bool
  /// The name that this content was published under, when a rename alone made the path dirty.
  package var renamedFrom: RelativePath?

  package init(
    writing: Writing, firstChange: Instant, lastChange: Instant, isNew: Bool = false,
    renamedFrom: RelativePath? = nil
  ) {
    self.writing = writing
    self.firstChange = firstChange
    self.lastChange = lastChange
    self.isNew = isNew
    self.renamedFrom = renamedFrom
  }

  /// Joins what an abandoned publication brought back with what happened since.
  func merged(withLater later: DirtyEntry) -> DirtyEntry {
    var joined = later
    joined.firstChange = min(firstChange, later.firstChange)
    joined.isNew = isNew && later.isNew
    joined.renamedFrom = nil
    return joined
  }
}

/// The paths that changed since they were last published, kept small: many changes to one path are one entry, and
/// a directory with too many becomes one "compare this directory".
///
/// The set names paths, not states: whether a path is there, and what, is asked of the filesystem when it is taken.
package struct DirtySet: Sendable {
  package private(set) var entries: [RelativePath: DirtyEntry] = [:]
  /// Directories to compare, because their events were lost, cannot be had or were too many.
  package private(set) var rescans: [RelativePath: RescanReason] = [:]
  /// Directories that left the tree with everything below them.
  package private(set) var goneDirectories: [RelativePath: Instant] = [:]
  package private(set) var isRootLost = false

  /// Directories that appeared since the set was last taken: nothing of this run was published below them.
  private var newDirectories: Set<RelativePath> = []
  /// How many entries may be held one by one before directories collapse.
  private let capacity: Int
  private var oldestRescan: Instant?

  package static let defaultCapacity = 100_000

  package init(capacity: Int = DirtySet.defaultCapacity) {
    self.capacity = max(1, capacity)
  }

  package var isEmpty: Bool { entries.isEmpty && rescans.isEmpty && goneDirectories.isEmpty }

  /// When the oldest unpublished change happened.
  package var oldestChange: Instant? {
    let instants = entries.values.lazy.map(\.firstChange) + Array(goneDirectories.values)
    return [instants.min(), oldestRescan].compactMap { $0 }.min()
  }

  // MARK: Events

  package mutating func note(_ event: WatchEvent, at now: Instant) {
    switch event {
    case .created(let path):
      touch(path, at: now, isNew: true) { $0.writing = .unknown }
    case .found(let path):
      touch(path, at: now, isNew: newDirectories.contains(path.parent)) { _ in }
    case .modified(let path):
      touch(path, at: now) { entry in
        if case .open = entry.writing { return }
        entry.writing = .open(since: now)
      }
    case .closed(let path):
      touch(path, at: now) { $0.writing = .closed }
    case .attributes:
      // IN_ATTRIB alone is no push (SPEC 4); the exit's reconciliation sees the later ctime.
      break
    case .deleted(let path):
      noteGone(path, at: now)
    case .renamed(let from, let to):
      noteRename(from: from, to: to, at: now)
    case .directoryAppeared(let directory):
      newDirectories.insert(directory)
    case .directoryDeleted(let directory):
      rescans = rescans.filter { !$0.key.isWithin(directory) }
      newDirectories.remove(directory)
    case .directoryRenamed(let from, let to):
      noteDirectoryRename(from: from, to: to)
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

  private mutating func touch(
    _ path: RelativePath, at now: Instant, isNew: Bool = false, change: (inout DirtyEntry) -> Void
  ) {
    var entry =
      entries[path] ?? DirtyEntry(writing: .unknown, firstChange: now, lastChange: now, isNew: isNew)
    entry.lastChange = now
    if case .unknown = entry.writing {} else { entry.renamedFrom = nil }
    change(&entry)
    entries[path] = entry
    if entries.count > capacity { collapseLargestDirectory(at: now) }
  }

  /// A name that came and went between two ticks was never published and asks for nothing.
  private mutating func noteGone(_ path: RelativePath, at now: Instant) {
    if let entry = entries[path], entry.isNew {
      entries[path] = nil
    } else {
      touch(path, at: now) { entry in
        entry.writing = .unknown
        entry.renamedFrom = nil
      }
    }
  }

  private mutating func noteRename(from: RelativePath, to: RelativePath, at now: Instant) {
    let moved = entries[from]
    noteGone(from, at: now)
    var entry = moved ?? DirtyEntry(writing: .unknown, firstChange: now, lastChange: now)
    entry.lastChange = now
    entry.renamedFrom = moved == nil ? from : moved?.renamedFrom
    // The target may replace a published file, so it is never "new": its later deletion must reach S3.
    entry.isNew = newDirectories.contains(to.parent)
    if let replaced = entries[to] { entry.firstChange = min(entry.firstChange, replaced.firstChange) }
    entries[to] = entry
    if entries.count > capacity { collapseLargestDirectory(at: now) }
  }

  private mutating func noteDirectoryRename(from: RelativePath, to: RelativePath) {
    rekey(&rescans, from: from, to: to)
    for directory in newDirectories where directory.isWithin(from) {
      newDirectories.remove(directory)
      newDirectories.insert(directory.moved(from: from, to: to))
    }
  }

  private func rekey<Value>(
    _ table: inout [RelativePath: Value], from: RelativePath, to: RelativePath
  ) {
    for (directory, value) in table where directory.isWithin(from) && !directory.isRoot {
      table[directory] = nil
      table[directory.moved(from: from, to: to)] = value
    }
  }

  private mutating func noteDirectoryGone(_ directory: RelativePath, at now: Instant) {
    let isNew = newDirectories.contains(directory)
    var oldest = now
    for (path, entry) in entries where path.isWithin(directory) {
      oldest = min(oldest, entry.firstChange)
      entries[path] = nil
    }
    rescans = rescans.filter { !$0.key.isWithin(directory) }
    newDirectories = newDirectories.filter { !$0.isWithin(directory) }
    if !isNew { goneDirectories[directory] = oldest }
  }

  private mutating func noteRescan(_ directory: RelativePath, _ reason: RescanReason, at now: Instant) {
    rescans[directory] = reason
    oldestRescan = min(oldestRescan ?? now, now)
    guard reason == .queueOverflow else { return }
    // The close of a file that was being written may be among the lost events.
    for (path, entry) in entries where path.isWithin(directory) {
      if case .open = entry.writing { entries[path]?.writing = .unknown }
    }
  }

  /// Replaces the entries below the directory that holds most of them by one rescan, so that memory stays bounded.
  private mutating func collapseLargestDirectory(at now: Instant) {
    var counts: [RelativePath: Int] = [:]
    for path in entries.keys { counts[path.parent, default: 0] += 1 }
    guard let largest = counts.max(by: { $0.value < $1.value })?.key else { return }
    for (path, entry) in entries where path.isWithin(largest) {
      oldestRescan = min(oldestRescan ?? now, entry.firstChange)
      entries[path] = nil
    }
    rescans[largest] = .collapsed
  }

  // MARK: Taking and giving back

  /// What one pass works on.
  package struct Batch: Sendable {
    package var entries: [RelativePath: DirtyEntry]
    package var rescans: [RelativePath: RescanReason]
    package var goneDirectories: [RelativePath: Instant]

    package init(
      entries: [RelativePath: DirtyEntry] = [:], rescans: [RelativePath: RescanReason] = [:],
      goneDirectories: [RelativePath: Instant] = [:]
    ) {
      self.entries = entries
      self.rescans = rescans
      self.goneDirectories = goneDirectories
    }

    package var isEmpty: Bool { entries.isEmpty && rescans.isEmpty && goneDirectories.isEmpty }
  }

  /// Takes the entries that `isReady`, and every rescan and directory that is gone; the rest waits here.
  package mutating func take(where isReady: (RelativePath, DirtyEntry) -> Bool) -> Batch {
    let ready = entries.filter { isReady($0.key, $0.value) }
    let batch = Batch(entries: ready, rescans: rescans, goneDirectories: goneDirectories)
    if ready.count == entries.count {
      entries = [:]
    } else {
      for path in ready.keys { entries[path] = nil }
    }
    rescans = [:]
    goneDirectories = [:]
    newDirectories = []
    oldestRescan = nil
    // What stays was seen by a pass; its name may be published by the time it is deleted.
    for path in entries.keys { entries[path]?.isNew = false }
    return batch
  }

  /// Brings back what a pass could not publish, joined with what happened in the meantime.
  package mutating func giveBack(_ batch: Batch, at now: Instant) {
    for (path, earlier) in batch.entries {
      if let later = entries[path] {
        entries[path] = earlier.merged(withLater: later)
      } else {
        entries[path] = earlier
      }
    }
    for (directory, reason) in batch.rescans where rescans[directory] == nil {
      noteRescan(directory, reason, at: now)
    }
    goneDirectories.merge(batch.goneDirectories) { min($0, $1) }
    while entries.count > capacity { collapseLargestDirectory(at: now) }
  }
}
