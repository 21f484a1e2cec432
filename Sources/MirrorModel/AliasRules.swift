/// The facts that the rules of aliases need: about the tree, and about what this run knows to be on S3.
///
/// The rules are extensions of this protocol, so that a model of a tree can replace a real one in tests. They
/// change the table step by step, because the watch's thread notes names while a pass reads the tree.
package protocol AliasFacts {
  /// Nanoseconds since 1970-01-01 UTC.
  var wallClock: Int64 { get }
  /// Reads or changes the table under its lock.
  mutating func withTable<Value: Sendable>(_ body: (inout AliasTable) -> Value) -> Value

  /// The entry that has the name. For a link, the link itself.
  func sight(of path: RelativePath) -> Sighting
  /// The entry to which the path leads; links are followed if that is configured. For a link without a
  /// target, the link itself.
  func sight(behind path: RelativePath) -> Sighting
  /// What a path is, as far as pointers are concerned. Reads the tree.
  func pointing(of path: RelativePath) -> Pointing
  /// The stamp of the file that probably has the name, read in one system call: for the watch's thread.
  func glance(at path: RelativePath) -> FileStamp?
  /// The stamp of the file to which the path leads; nil if there is none.
  func stamp(ofFileAt path: RelativePath) -> FileStamp?
  /// Whether no process has the file open for writing.
  func isWithoutWriter(_ path: RelativePath) -> Bool

  /// Whether this run knows that this version of the file is on S3 under the path.
  func isPublished(_ path: RelativePath, _ stamp: FileStamp, _ allowance: StampAllowance) -> Bool
  /// Whether this run knows of an object under the path.
  func hasObject(_ path: RelativePath) -> Bool
  /// The paths under which these files were published.
  func publishedPaths(of files: Set<AliasTable.File>) -> [RelativePath]
}

/// How two stamps of one version may differ.
package enum StampAllowance: Sendable, Hashable {
  case none
  /// The ctimes may differ: a name of the file was added, removed or changed, which does not change the
  /// content.
  case renamed
}

// What the watch reports.
extension AliasFacts {
  /// Notes the names of the events' files, so that each name is known even if it is gone when the next pass
  /// begins.
  ///
  /// - Returns: the events, and added `linked` events for names of files that have several names.
  package mutating func told(_ events: [WatchEvent]) -> [WatchEvent] {
    var all: [WatchEvent] = []
    all.reserveCapacity(events.count)
    for event in events {
      all.append(event)
      switch event {
      case .created(let path), .found(let path):
        if meet(path) { all.append(.linked(path)) }
      case .renamed(let from, let to):
        if meet(to) { all.append(.linked(to)) }
        // If the two names were exchanged, or a new file was renamed to the old name, a file has the old name
        // now.
        if withTable({ $0.file(of: from) }) != nil { _ = meet(from) }
      case .modified(let path), .closed(let path): withTable { $0.noteWrite(under: path) }
      case .deleted(let path): withTable { $0.forgetFile(of: path) }
      case .directoryMovedAway(let directory): withTable { $0.forgetFiles(within: directory) }
      case .linked, .attributes, .undecodable, .directoryAppeared, .directoryDeleted, .directoryRenamed,
        .rescan, .rootLost:
        break
      }
    }
    return all
  }

  /// Notes which file has the name now.
  ///
  /// - Returns: whether the file has several names.
  private mutating func meet(_ path: RelativePath) -> Bool {
    guard let stamp = glance(at: path), stamp.links > 1 else {
      withTable { $0.forgetFile(of: path) }
      return false
    }
    note(path, stamp)
    return true
  }

  mutating func note(_ path: RelativePath, _ stamp: FileStamp) {
    let now = wallClock
    withTable { $0.note(path, stamp, metBy: .other, at: now) }
  }
}

// Followed links in a pass.
extension AliasFacts {
  /// Finds the names of a batch that are, or were, followed links. If a link leads to a directory, that
  /// directory is compared. If a link that led to a directory was changed or removed, everything that was
  /// below its name has left the tree.
  package mutating func resolveLinks(in batch: inout DirtySet.Batch) {
    for (path, entry) in batch.entries where DirectoryMarker(path) == nil {
      let own = sight(of: path)
      if own == .unseen { continue }
      if own.kind == .symbolicLink {
        take(path, entry, in: &batch)
      } else if withTable({ $0.forgetLink(path) }) {
        batch.goneDirectories[path] = entry.firstChange
        // Objects are below the name, but the name itself has none.
        if own == .nothing, !hasObject(path) { batch.entries[path] = nil }
      }
    }
  }

  private mutating func take(_ path: RelativePath, _ entry: DirtyEntry, in batch: inout DirtySet.Batch) {
    // The process that writes the link's target uses another name.
    batch.entries[path]?.isWrittenElsewhere = true
    let now = wallClock
    let target = sight(behind: path)
    guard let kind = target.kind, kind != .symbolicLink else {
      // The link's target was lost. It was not deleted under this name.
      return withTable { $0.note(link: path, leadingTo: .nothing, at: now) }
    }
    let hasLedToDirectory = withTable { table in
      defer { table.note(link: path, leadingTo: target, at: now) }
      return table.forgetLink(path)
    }
    if hasLedToDirectory { batch.goneDirectories[path] = entry.firstChange }
    guard kind == .directory else { return }
    batch.rescans[path] = .followedLink
    // The name never belonged to a file.
    if entry.isNew { batch.entries[path] = nil }
  }

  /// Checks the followed links that a batch polls, and adds those whose file has changed.
  ///
  /// - Returns: the links of the batch that lead to a directory or cannot be read. Their targets are
  ///   compared, and the comparison reports errors.
  package mutating func lookBehindLinks(of batch: inout DirtySet.Batch, at now: Instant) -> Set<RelativePath>
  {
    var compared: Set<RelativePath> = []
    for (link, reason) in batch.rescans where reason == .followedLink {
      // A comparison of a directory above the link checks the link too.
      if link.ancestors.contains(where: { batch.rescans[$0].map { $0 != .followedLink } ?? false }) {
        continue
      }
      switch finding(behind: link) {
      case .directory: compared.insert(link)
      case .changedFile where batch.entries[link] == nil: batch.entries[link] = .foundWritten(at: now)
      case .changedFile, .nothing: break
      }
    }
    return compared
  }

  private mutating func finding(behind link: RelativePath) -> Finding {
    // If there are too many links for the table, the comparison of their directories covers them.
    guard withTable({ $0.link(link) }) != nil else { return .directory }
    let own = sight(of: link)
    if own == .unseen { return .directory }
    guard own.kind == .symbolicLink else {
      withTable { $0.changeLink(link) { $0.isGone = true } }
      return own.kind == .directory ? .directory : .nothing
    }
    switch sight(behind: link) {
    case .unseen: return .directory
    case .entry(.directory, _):
      withTable { $0.changeLink(link) { $0.hasLedToDirectory = true } }
      return .directory
    case .entry(.file, let stamp): return isChanged(link, stamp) ? .changedFile : .nothing
    case .nothing, .entry: return .nothing
    }
  }

  private mutating func isChanged(_ link: RelativePath, _ stamp: FileStamp) -> Bool {
    let now = wallClock
    let isReckonedWith = withTable { table in
      if table.link(link)?.reckoning.covers(stamp) == true { return true }
      table.changeLink(link) { $0.reckoning = Reckoning(stamp, at: now) }
      return false
    }
    return !isReckonedWith && !isPublished(link, stamp, .none)
  }
}

/// What a pass must do about a followed link.
private enum Finding {
  /// It leads to a directory that must be compared, or it cannot be read.
  case directory
  /// It leads to another file or another version than the published one.
  case changedFile
  case nothing
}

extension DirtyEntry {
  /// The entry of a name whose file was written at an unknown time.
  static func foundWritten(at now: Instant) -> DirtyEntry {
    var entry = DirtyEntry(at: now)
    entry.isWrittenElsewhere = true
    return entry
  }
}
