import MirrorModel

/// What one record asks for, to be carried out in order before the next record is translated.
package enum TranslationStep: Sendable, Hashable {
  case emit(WatchEvent)
  /// Watch the directory of this name and give out what lies below.
  case visit(RelativePath, under: WatchTable.NodeID, Visit)
  /// Look whether something lies under a name that a rename should have left, and give it out.
  case recheck(RelativePath, under: WatchTable.NodeID)
  /// Remove these watches from the kernel; the table has forgotten them.
  case unwatch([Int32])
  /// Build the table anew from the disk.
  case rewalk
}

/// Turns the kernel's records into events and steps; a value, without system calls.
///
/// Records tell the past while visits see the present, so the table may be ahead of the records or behind them.
/// What keeps it right in the end: of all records about one name, the last tells the present state, and every
/// record that makes a directory or moves one in causes a visit to what is there by then.
package struct EventTranslation: Sendable {
  package typealias NodeID = WatchTable.NodeID

  package var table = WatchTable()
  package private(set) var pairing = RenamePairing()
  /// Records about names that are not UTF-8.
  package private(set) var undecodableNames = 0
  /// After this nothing is emitted any more.
  package private(set) var isRootLost = false

  private let isExcluded: @Sendable (RelativePath, EntryKind) -> Bool
  private var sequence = 0
  private var recentArrivals: [Place] = []

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
    case .undecodable:
      undecodableNames += 1
      // Renamed to where it can be no key: it is gone from the keys.
      let kind: EntryKind = record.mask.contains(.isDirectory) ? .directory : .file
      if record.mask.contains(.movedTo), let departure = pairing.take(cookie: record.cookie, kind) {
        giveUpUnanswered([departure], into: &steps)
      }
    case .text(let name):
      settleDepartures(of: name, from: directory, unlessCookie: record.cookie, into: &steps)
      if record.mask.contains(.movedTo) { noteArrival(of: name, under: directory) }
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
      guard let node = table[directory], let parent = node.parent else { return }
      let path = table.path(of: directory)
      remove(directory, into: &steps)
      // What the mount had covered is visible again. Without the mount its files are no deletions.
      steps.append(.visit(node.name, under: parent, .initial))
      steps.append(.emit(.rescan(path, .unreadable(Self.noSuchDevice))))
    } else if mask.contains(.ignored) {
      table.clearDescriptor(of: directory)
      remove(directory, into: &steps)
    }
  }

  /// ENODEV of errno(3).
  static let noSuchDevice: Int32 = 19

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

  /// What left the directory or one below it and has not arrived; its path is known as long as the directory is.
  private mutating func takeDepartures(from directory: NodeID) -> [Departure] {
    guard !pairing.isEmpty else { return [] }
    let table = table
    return pairing.takeAll { table.isWithin($0.parent, directory) }
  }
}

// RENAME_EXCHANGE of renameat2(2) shows itself as two renames, there and back, of which the second seems to leave
// a name empty that is not. It breaks the rule that the last record about a name tells the present state, so a
// name that was left is looked at again where that may have happened.
extension EventTranslation {
  private struct Place: Sendable, Hashable {
    var parent: NodeID
    var name: RelativePath
  }

  /// Arrivals that are remembered; the halves of an exchange follow each other but for other threads' renames.
  private static let recentArrivalCount = 64

  private mutating func noteArrival(of name: RelativePath, under parent: NodeID) {
    if recentArrivals.count == Self.recentArrivalCount { recentArrivals.removeFirst() }
    recentArrivals.append(Place(parent: parent, name: name))
  }

  private func recheckIfExchanged(_ departure: Departure, into steps: inout [TranslationStep]) {
    if recentArrivals.contains(Place(parent: departure.parent, name: departure.name)) {
      steps.append(.recheck(departure.name, under: departure.parent))
    }
  }
}

// Records about files, and both halves of renames.
extension EventTranslation {
  private mutating func translateFile(
    _ record: InotifyRecord, _ name: RelativePath, in parent: NodeID, into steps: inout [TranslationStep]
  ) {
    let path = table.path(of: parent).appending(name.string)
    let mask = record.mask
    guard !isExcluded(path, .file) else {
      if mask.contains(.movedTo), let departure = pairing.take(cookie: record.cookie, .file) {
        giveUpUnanswered([departure], into: &steps)
      }
      return
    }
    if mask.contains(.movedFrom) {
      hold(record.cookie, name, .file, nil, from: parent, into: &steps)
    } else if mask.contains(.movedTo) {
      if let departure = pairing.take(cookie: record.cookie, .file) {
        let old = table.path(of: departure.parent).appending(departure.name.string)
        steps.append(.emit(.renamed(from: old, to: path)))
        recheckIfExchanged(departure, into: &steps)
      } else {
        steps.append(.emit(.found(path)))
      }
    } else if mask.contains(.create) {
      steps.append(.emit(.created(path)))
    } else if mask.contains(.modify) {
      steps.append(.emit(.modified(path)))
    } else if mask.contains(.closeWrite) {
      steps.append(.emit(.closed(path)))
    } else if mask.contains(.delete) {
      steps.append(.emit(.deleted(path)))
    } else if mask.contains(.attributes) {
      steps.append(.emit(.attributes(path)))
    }
  }

  private mutating func hold(
    _ cookie: UInt32, _ name: RelativePath, _ kind: EntryKind, _ node: NodeID?, from parent: NodeID,
    into steps: inout [TranslationStep]
  ) {
    let departure = Departure(
      cookie: cookie, parent: parent, name: name, kind: kind, node: node, sequence: sequence)
    giveUpUnanswered(pairing.hold(departure), into: &steps)
  }

  /// A record about a name that something left says that the name is in use again, so no arrival came before it.
  ///
  /// A visit that meets the name says so too. It must come first: what is told gone afterwards would take the files
  /// with it that the visit gives out.
  package mutating func settleDepartures(
    of name: RelativePath, from parent: NodeID, unlessCookie cookie: UInt32 = 0,
    into steps: inout [TranslationStep]
  ) {
    guard !pairing.isEmpty else { return }
    giveUp(
      pairing.takeAll { $0.name == name && $0.parent == parent && $0.cookie != cookie }, into: &steps)
  }

  /// Takes departures for gone: first all are named, because what one leaves behind may be below another.
  ///
  /// The steps hold no visit, so nothing that a visit gives out is taken back by what is told gone after it.
  private mutating func giveUp(_ departures: [Departure], into steps: inout [TranslationStep]) {
    for departure in departures where table.isWithin(departure.parent, WatchTable.root) {
      let path = table.path(of: departure.parent).appending(departure.name.string)
      steps.append(.emit(departure.kind == .directory ? .directoryMovedAway(path) : .deleted(path)))
    }
    for case let node? in departures.map(\.node) where table[node] != nil && !table.isAttached(node) {
      remove(node, into: &steps)
    }
  }

  /// Gives up departures about which no record follows. Their names are looked at, because the arrival of an
  /// exchange's other half may have been nowhere near a watch.
  private mutating func giveUpUnanswered(_ departures: [Departure], into steps: inout [TranslationStep]) {
    giveUp(departures, into: &steps)
    for departure in departures { recheckIfExchanged(departure, into: &steps) }
  }
}
