import MirrorModel

/// Turns the kernel's records into events and steps; a value, without system calls.
///
/// Records tell the past while visits see the present, so the table may be ahead of the records or behind them.
/// What keeps it right in the end: of all records about one name, the last tells the present state, and every
/// record that makes a directory or moves one in causes a visit to what is there by then.
package struct EventTranslation: Sendable {
  package typealias NodeID = WatchTable.NodeID

  package var table = WatchTable()
  package internal(set) var pairing = RenamePairing()
  /// After this nothing is emitted any more.
  package private(set) var isRootLost = false

  let isExcluded: @Sendable (RelativePath, EntryKind) -> Bool
  var sequence = 0
  var arrivals = RecentArrivals()

  package init(isExcluded: @escaping @Sendable (RelativePath, EntryKind) -> Bool = { _, _ in false }) {
    self.isExcluded = isExcluded
  }

  /// Appends what the record means to `steps`.
  package mutating func translate(_ record: InotifyRecord, into steps: inout [TranslationStep]) {
    guard !isRootLost else { return }
    sequence += 1
    if record.mask.contains(.queueOverflow) { return recover(into: &steps) }
    // Records of a watch that was removed were under way when it was.
    guard let directory = table.owner(of: record.descriptor) else { return }
    switch record.name {
    case .none:
      translateSelf(record.mask, of: directory, into: &steps)
    case .undecodable(let name):
      let kind: EntryKind = record.mask.contains(.isDirectory) ? .directory : .file
      // Renamed to where it can be no key: it is gone from the keys.
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

  /// Takes what waits for its other half as moved out of the tree.
  package mutating func settle(into steps: inout [TranslationStep]) {
    giveUpUnanswered(pairing.takeAll { _ in true }, into: &steps)
  }

  /// The tree that was watched is not at its place any more.
  package mutating func loseRoot(into steps: inout [TranslationStep]) {
    guard !isRootLost else { return }
    isRootLost = true
    _ = pairing.takeAll { _ in true }
    steps.append(.unwatch(table.remove(WatchTable.root)))
    steps.append(.emit(.rootLost))
  }

  private mutating func recover(into steps: inout [TranslationStep]) {
    settle(into: &steps)
    // The comparison follows the walk, so that no change falls between the two.
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
      // Each directory of it has such a record, in no order. The first one stands for all.
      let place = table.mountPoint(of: directory)
      guard let node = table[place], let parent = node.parent else { return }
      let path = table.path(of: place)
      remove(place, into: &steps)
      // What the mount had covered is visible again. Without the mount its files are no deletions.
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
      // Its permissions may allow a watch now.
      steps.append(.visit(name, under: parent, .appeared))
    }
  }

  /// A directory came to this place; `path` is nil where it is excluded.
  private mutating func arrive(
    _ cookie: UInt32, _ name: RelativePath, at path: RelativePath?, under parent: NodeID,
    into steps: inout [TranslationStep]
  ) {
    let departure = pairing.take(cookie: cookie, .directory)
    guard let path else { return giveUpUnanswered(departure.map { [$0] } ?? [], into: &steps) }
    guard let departure else { return steps.append(.visit(name, under: parent, .surfaced)) }
    let old = table.path(of: departure.parent).appending(departure.name.string)
    // No directory is renamed to below itself or to above itself. Where a table that is behind makes it seem so, the
    // same path can be an old one and a new one in one visit, and what is told gone could be what was just told new.
    let overlap = old.isWithin(path) || path.isWithin(old)
    if let node = departure.node, table[node] != nil, !table.isAttached(node) {
      if relocate(node, to: name, under: parent, into: &steps) {
        steps.append(.emit(.directoryRenamed(from: old, to: path)))
        steps.append(.visit(name, under: parent, overlap ? .surfaced : .renamed(from: old)))
        return steps.append(.recheck(departure.name, under: departure.parent))
      }
      // A visit has met the new parent below this directory, where it came later. So this directory has left that
      // place since, and the record of its next arrival has it visited with all that it holds by then.
      remove(node, into: &steps)
    }
    // Otherwise a visit met it on its way, or it was never watched.
    steps.append(.emit(.directoryRenamed(from: old, to: path)))
    steps.append(.visit(name, under: parent, overlap ? .surfaced : .renamedUnseen(from: old)))
    steps.append(.recheck(departure.name, under: departure.parent))
  }

  /// Gives a known directory another place; what held the name is forgotten.
  ///
  /// - Returns: False when the new place lies below the directory itself: the table is behind the disk then.
  package mutating func relocate(
    _ directory: NodeID, to name: RelativePath, under parent: NodeID, into steps: inout [TranslationStep]
  ) -> Bool {
    guard !table.isWithin(parent, directory) else { return false }
    table.detach(directory)
    let replaced = table.child(name, of: parent)
    if let replaced { table.detach(replaced) }
    table.move(directory, to: name, under: parent)
    // Only now, when the directory has its place: what it left may be below the replaced one.
    if let replaced { displace(replaced, into: &steps) }
    return true
  }

  /// Forgets a directory whose name another one has. Its records are dropped from here on, so what becomes of its
  /// files is not told one by one.
  package mutating func displace(_ directory: NodeID, into steps: inout [TranslationStep]) {
    let path = table.path(of: directory)
    let wasWatched = table[directory]?.descriptor != nil
    remove(directory, into: &steps)
    if wasWatched { steps.append(.emit(.directoryMovedAway(path))) }
  }

  /// Forgets a directory and all below it. What has left from there can be named only now.
  package mutating func remove(_ directory: NodeID, into steps: inout [TranslationStep]) {
    giveUp(takeDepartures(from: directory), into: &steps)
    steps.append(.unwatch(table.remove(directory)))
  }
}
