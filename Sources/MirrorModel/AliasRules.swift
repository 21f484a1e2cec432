/// What the rules of aliases ask: of the tree, and of what this run knows to be on S3.
///
/// The rules themselves are extensions of this protocol, so that a model of a tree can stand in for a real one. They change the table
/// step by step, because the watch's thread meets names while a pass looks at the tree.
package protocol AliasFacts {
  /// Nanoseconds since 1970-01-01 UTC.
  var wallClock: Int64 { get }
  /// Reads or changes the table, undisturbed.
  mutating func withTable<Value: Sendable>(_ body: (inout AliasTable) -> Value) -> Value

  /// What has the name: a link itself, wherever it leads.
  func sight(of path: RelativePath) -> Sighting
  /// What the path leads to, over links where they are followed; the link itself where that leads nowhere.
  func sight(behind path: RelativePath) -> Sighting
  /// The stamp of the file that probably has the name, in one system call: for the watch's thread.
  func glance(at path: RelativePath) -> FileStamp?
  /// The stamp of the file that the path leads to; nil where it leads to none.
  func stamp(ofFileAt path: RelativePath) -> FileStamp?
  /// Whether nobody has the file open for writing.
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
  /// In ctime: a name of the file came, went or changed, which leaves the content as it is.
  case renamed
}

// What the watch reports.
extension AliasFacts {
  /// Meets the names of the events' files, so that each is known even if it is gone when the next pass begins.
  ///
  /// - Returns: the events, and with them which names belong to files that have others.
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
        // Where the two were exchanged, or others were faster, something may be there.
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

  /// Looks whose name it is now.
  ///
  /// - Returns: whether that file has others.
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
  /// Looks which names of a batch are links that are followed, or were. A link that leads to a directory is compared; and what
  /// lay below a name that leads elsewhere now, or is no link any more, has left the tree.
  package mutating func resolveLinks(in batch: inout DirtySet.Batch) {
    for (path, entry) in batch.entries where DirectoryMarker(path) == nil {
      let own = sight(of: path)
      if own == .unseen { continue }
      if own.kind == .symbolicLink {
        take(path, entry, in: &batch)
      } else if withTable({ $0.forgetLink(path) }) {
        batch.goneDirectories[path] = entry.firstChange
        // Below the name are objects, and none of its own.
        if own == .nothing, !hasObject(path) { batch.entries[path] = nil }
      }
    }
  }

  private mutating func take(_ path: RelativePath, _ entry: DirtyEntry, in batch: inout DirtySet.Batch) {
    // The writer of what the link leads to uses another name.
    batch.entries[path]?.isWrittenElsewhere = true
    let now = wallClock
    let target = sight(behind: path)
    guard let kind = target.kind, kind != .symbolicLink else {
      // What the link led to was lost, not deleted here.
      return withTable { $0.note(link: path, leadingTo: .nothing, at: now) }
    }
    let hasLedToDirectory = withTable { table in
      defer { table.note(link: path, leadingTo: target, at: now) }
      return table.forgetLink(path)
    }
    if hasLedToDirectory { batch.goneDirectories[path] = entry.firstChange }
    guard kind == .directory else { return }
    batch.rescans[path] = .followedLink
    // No file had the name.
    if entry.isNew { batch.entries[path] = nil }
  }

  /// Looks at the followed links that a batch polls, and adds those to it that lead to a file which has changed.
  ///
  /// - Returns: the links of the batch that lead to a directory, or cannot be looked at: what is behind them is compared, and the
  ///   comparison says what is wrong.
  package mutating func lookBehindLinks(of batch: inout DirtySet.Batch, at now: Instant) -> Set<RelativePath>
  {
    var compared: Set<RelativePath> = []
    for (link, reason) in batch.rescans where reason == .followedLink {
      // A comparison further up looks at it as well.
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
    // Too many links are compared by way of the directories that they lie in.
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

/// What a followed link has in store for a pass.
private enum Finding {
  /// A directory, to be compared, or what cannot be looked at.
  case directory
  /// A file that is another one, or another version, than the one that is published.
  case changedFile
  case nothing
}

extension DirtyEntry {
  /// Of a name whose file was written, nobody knows when.
  static func foundWritten(at now: Instant) -> DirtyEntry {
    var entry = DirtyEntry(at: now)
    entry.isWrittenElsewhere = true
    return entry
  }
}
