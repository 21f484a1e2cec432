import MirrorModel

/// Translates the kernel's records into events and steps. A value without system calls.
///
/// Records describe the past and visits see the present, so the table may be ahead of the records or behind
/// them. Two rules make it correct in the end. Of all records about one name, the last describes the present
/// state. And every record of a new or moved-in directory causes a visit to the directory's present content.
package struct EventTranslation: Sendable {
  package typealias NodeID = WatchTable.NodeID

  package var table = WatchTable()
  package internal(set) var pairing = RenamePairing()
  /// Set once the root is lost. After that no events are emitted.
  package private(set) var isRootLost = false

  let isExcluded: @Sendable (RelativePath, EntryKind) -> Bool
  var sequence = 0
  var arrivals = RecentArrivals()

  package init(isExcluded: @escaping @Sendable (RelativePath, EntryKind) -> Bool = { _, _ in false }) {
    self.isExcluded = isExcluded
  }

  /// Translates a record and appends its steps.
  package mutating func translate(_ record: InotifyRecord, into steps: inout [TranslationStep]) {
    guard !isRootLost else { return }
    sequence += 1
    if record.mask.contains(.queueOverflow) { return recover(into: &steps) }
    // Records of a removed watch may have been queued before its removal.
    guard let directory = table.owner(of: record.descriptor) else { return }
    switch record.name {
    case .none:
      translateSelf(record.mask, of: directory, into: &steps)
    case .undecodable(let name):
      let kind: EntryKind = record.mask.contains(.isDirectory) ? .directory : .file
      // A rename to a name that is not UTF-8 removes the old key.
      if record.mask.contains(.movedTo), let departure = pairing.take(cookie: record.cookie, kind) {
        giveUpUnanswered([departure], into: &steps)
      }
      let path = table.path(of: directory).appending(name.string)
      if !isExcluded(path, kind) { steps.append(.emit(.undecodable(path))) }
    case .text(let name):
      settleDepartures(of: name, from: directory, unlessCookie: record.cookie, into: &steps)
      if record.mask.contains(.movedTo) { arrivals.note(name, under: directory) }
      if record.mask.contains(.isDirectory) {
        translateDirectory(record, name, in: directory, into: &steps)
      } else {
        translateFile(record, name, in: directory, into: &steps)
      }
    }
  }

  /// Takes all open departures as moved out of the tree.
  package mutating func settle(into steps: inout [TranslationStep]) {
    giveUpUnanswered(pairing.takeAll { _ in true }, into: &steps)
  }

  /// Records that the watched tree is no longer at its place.
  package mutating func loseRoot(into steps: inout [TranslationStep]) {
    guard !isRootLost else { return }
    isRootLost = true
    _ = pairing.takeAll { _ in true }
    steps.append(.unwatch(table.remove(WatchTable.root)))
    steps.append(.emit(.rootLost))
  }

  private mutating func recover(into steps: inout [TranslationStep]) {
    settle(into: &steps)
    // The comparison comes after the walk, so that no change falls between the two.
    steps += [.rewalk, .emit(.rescan(.root, .queueOverflow))]
  }
}

// Records about the watched directory itself, and about directories in it.
extension EventTranslation {
  private mutating func translateSelf(
    _ mask: InotifyMask, of directory: NodeID, into steps: inout [TranslationStep]
  ) {
    if directory == WatchTable.root {
      if !mask.isDisjoint(with: [.deleteSelf, .moveSelf, .unmount, .ignored]) { loseRoot(into: &steps) }
    } else if mask.contains(.unmount) {
      // Each directory of the filesystem has such a record, in any order. The first record handles all of
      // them.
      let place = table.mountPoint(of: directory)
      guard let node = table[place], let parent = node.parent else { return }
      let path = table.path(of: place)
      remove(place, into: &steps)
      // The content below the mount point is visible again. The mount's own files are now invisible but not
      // deleted.
      steps.append(.visit(node.name, under: parent, .initial))
      steps.append(.emit(.rescan(path, .remounted)))
    } else if mask.contains(.ignored) {
      table.clearDescriptor(of: directory)
      remove(directory, into: &steps)
    }
  }

  private mutating func translateDirectory(
    _ record: InotifyRecord, _ name: RelativePath, in parent: NodeID, into steps: inout [TranslationStep]
  ) {
    let path = table.path(of: parent).appending(name.string)
    let excluded = isExcluded(path, .directory)
    let node = table.child(name, of: parent)
    if record.mask.contains(.movedTo) {
      arrive(record.cookie, name, at: excluded ? nil : path, under: parent, into: &steps)
    } else if excluded {
      return
    } else if record.mask.contains(.create) {
      steps.append(.visit(name, under: parent, .appeared))
    } else if record.mask.contains(.movedFrom) {
      if let node { table.detach(node) }
      hold(record.cookie, name, .directory, node, from: parent, into: &steps)
    } else if record.mask.contains(.delete) {
      if let node { remove(node, into: &steps) }
      steps.append(.emit(.directoryDeleted(path)))
    } else if record.mask.contains(.attributes), let node, table[node]?.descriptor == nil {
      // A change of permissions may allow a watch now.
      steps.append(.visit(name, under: parent, .appeared))
    }
  }

  /// Handles a directory that was renamed to this place. `path` is nil if the place is excluded.
  private mutating func arrive(
    _ cookie: UInt32, _ name: RelativePath, at path: RelativePath?, under parent: NodeID,
    into steps: inout [TranslationStep]
  ) {
    let departure = pairing.take(cookie: cookie, .directory)
    guard let path else { return giveUpUnanswered(departure.map { [$0] } ?? [], into: &steps) }
    guard let departure else { return steps.append(.visit(name, under: parent, .surfaced)) }
    let old = table.path(of: departure.parent).appending(departure.name.string)
    // No directory can be renamed to a place below or above itself. If an outdated table makes it seem so,
    // one visit might report a path as old and as new, and a removal might undo a new event. Then a full
    // visit is made instead.
    let overlap = old.isWithin(path) || path.isWithin(old)
    if let node = departure.node, table[node] != nil, !table.isAttached(node) {
      if relocate(node, to: name, under: parent, into: &steps) {
        steps.append(.emit(.directoryRenamed(from: old, to: path)))
        steps.append(.visit(name, under: parent, overlap ? .surfaced : .renamed(from: old)))
        return steps.append(.recheck(departure.name, under: departure.parent))
      }
      // A visit found the new parent below this directory, so the parent moved there later. Then this
      // directory has left that place since. The record of its next arrival causes a visit to everything in
      // it.
      remove(node, into: &steps)
    }
    // The directory was already found elsewhere by a visit, or never watched.
    steps.append(.emit(.directoryRenamed(from: old, to: path)))
    steps.append(.visit(name, under: parent, overlap ? .surfaced : .renamedUnseen(from: old)))
    steps.append(.recheck(departure.name, under: departure.parent))
  }

  /// Moves a known directory to another place. A directory that had the name is forgotten.
  ///
  /// - Returns: false if the new place lies below the directory itself, which means that the table is behind
  ///   the disk.
  package mutating func relocate(
    _ directory: NodeID, to name: RelativePath, under parent: NodeID, into steps: inout [TranslationStep]
  ) -> Bool {
    guard !table.isWithin(parent, directory) else { return false }
    table.detach(directory)
    let replaced = table.child(name, of: parent)
    if let replaced { table.detach(replaced) }
    table.move(directory, to: name, under: parent)
    // The replaced directory is forgotten after the move, because the old place of the moved directory may
    // lie below the replaced one.
    if let replaced { displace(replaced, into: &steps) }
    return true
  }

  /// Forgets a directory whose name another directory has taken. Its further records are ignored, so its
  /// files get no events of their own.
  package mutating func displace(_ directory: NodeID, into steps: inout [TranslationStep]) {
    let path = table.path(of: directory)
    let wasWatched = table[directory]?.descriptor != nil
    remove(directory, into: &steps)
    if wasWatched { steps.append(.emit(.directoryMovedAway(path))) }
  }

  /// Forgets a directory and everything below it. Open departures from there are named first, while their
  /// paths are known.
  package mutating func remove(_ directory: NodeID, into steps: inout [TranslationStep]) {
    giveUp(takeDepartures(from: directory), into: &steps)
    steps.append(.unwatch(table.remove(directory)))
  }
}
