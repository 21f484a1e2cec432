import MirrorModel
import SystemPackage

/// How a directory came to the place where a visit found it.
private enum Placement {
  case known
  case new
  /// Known from another place. The record of its rename is still to come, or was lost.
  case moved
}

/// Why a known directory could not be opened.
private enum VisitFailure: Error {
  /// Another directory, or none, has its place now. The table is behind the disk, and later records will
  /// correct it.
  case stale
  case refused(Errno)
}

// Visits: the watch is set first, and the directory is listed afterwards. An entry that appears in between is
// reported twice, but never missed.
extension WatchedTree {
  func visit(_ name: RelativePath, under parent: NodeID, _ visit: Visit) {
    visitShallow(name, under: parent, visit)
    while let next = deferredVisits.popLast() { visitShallow(next.name, under: next.parent, next.visit) }
  }

  /// Visits the content of the root, which has its watch already.
  func visitRoot(_ directory: borrowing OpenDirectory, _ visit: Visit) {
    noteFilesystem(directory, of: WatchTable.root)
    scan(directory, of: WatchTable.root, visit, depth: 0)
    while let next = deferredVisits.popLast() { visitShallow(next.name, under: next.parent, next.visit) }
  }

  /// Checks a name that may be in use although a rename seemed to free it.
  func recheck(_ name: RelativePath, under parent: NodeID) {
    guard translation.table[parent] != nil else { return }
    let path = translation.table.path(of: parent).appending(name.string)
    do {
      let kind = try open(parent).kind(of: name)
      switch kind {
      case .directory: visit(name, under: parent, .surfaced)
      case .file, .symbolicLink: if !isExcluded(path, .file) { emit(.found(path)) }
      case .special, nil: break
      }
    } catch VisitFailure.refused(let errno) {
      emit(.rescan(path.parent, .unreadable(errno.rawValue)))
    } catch {
      missedVisits += 1
    }
  }

  /// Reports the loss of the root if its place is empty or another directory has it.
  func checkRoot() {
    guard !translation.isRootLost, translation.table[WatchTable.root]?.descriptor != nil else { return }
    do {
      _ = try open(WatchTable.root)
    } catch VisitFailure.stale {
      loseRoot()
    } catch {
      emit(.rescan(.root, .unreadable(error.code)))
    }
  }
}

extension WatchedTree {
  /// How many levels of directories are open at one time, with one descriptor each. `ulimit -n` is 1024 by
  /// default.
  private static let openLevels = 48

  private func visitShallow(_ name: RelativePath, under parent: NodeID, _ visit: Visit) {
    guard translation.table[parent] != nil else { return missedVisits += 1 }
    do {
      try enter(name, in: open(parent), under: parent, visit, depth: 0)
    } catch VisitFailure.refused(let errno) {
      fail(name, under: parent, .unreadable(errno.rawValue))
    } catch {
      missedVisits += 1
      if parent == WatchTable.root { loseRoot() }
    }
  }

  /// Opens a known directory by its path and checks that it is the directory of the table: the kernel must
  /// return the same watch descriptor. Inode numbers would not suffice, because overlayfs changes them on
  /// copy-up.
  private func open(_ node: NodeID) throws(VisitFailure) -> OpenDirectory {
    guard let expected = translation.table[node]?.descriptor else { throw .stale }
    do {
      let directory = try OpenDirectory(root: root).descendant(translation.table.path(of: node))
      let actual = try instance.watch(directory, among: translation.table)
      if actual == expected { return directory }
      if translation.table.owner(of: actual) == nil { instance.unwatch(actual) }
    } catch let errno {
      // A known directory needs no further watch, so ENOSPC means that this is another directory.
      if !errno.meansGone && errno != .noSpace { throw .refused(errno) }
    }
    throw .stale
  }

  private func enter(
    _ name: RelativePath, in parentDirectory: borrowing OpenDirectory, under parent: NodeID, _ visit: Visit,
    depth: Int
  ) {
    let path = translation.table.path(of: parent).appending(name.string)
    if isExcluded(path, .directory) { return leaveExcluded(name, under: parent, visit) }
    // This comes before the watch is set: giving up a departure removes its watches, and one of them may be
    // the watch of this very directory.
    var steps: [TranslationStep] = []
    translation.settleDepartures(of: name, from: parent, into: &steps)
    perform(steps)
    do throws(Errno) {
      let directory = try parentDirectory.subdirectory(name)
      let descriptor = try instance.watch(directory, among: translation.table)
      guard let (node, placement) = place(descriptor, name, under: parent) else { return }
      if placement != .known { noteFilesystem(directory, of: node) }
      guard let visit = refine(visit, placement, node, descriptor) else { return }
      scan(directory, of: node, visit, depth: depth)
    } catch {
      if error.meansGone { return missedVisits += 1 }
      let isLimit = error == .noSpace || error == .noMemory
      fail(name, under: parent, isLimit ? .watchLimit : .unreadable(error.rawValue))
    }
  }

  /// Updates the table for a descriptor that was just returned for this name; nil if the directory must not
  /// be scanned.
  private func place(
    _ descriptor: Int32, _ name: RelativePath, under parent: NodeID
  ) -> (NodeID, Placement)? {
    guard translation.table[parent] != nil else {
      // The parent was forgotten during the walk. Later records will report its content.
      if translation.table.owner(of: descriptor) == nil { instance.unwatch(descriptor) }
      missedVisits += 1
      return nil
    }
    var steps: [TranslationStep] = []
    defer { perform(steps) }
    let present = translation.table.child(name, of: parent)
    if let owner = translation.table.owner(of: descriptor) {
      if owner == present {
        clearTrouble(of: owner)
        return (owner, .known)
      }
      if translation.table.isAttached(owner) && isReachable(owner) {
        // One inode at two places: a bind mount. It has one watch, whose events bear the other name.
        fail(name, under: parent, .unwatchedFilesystem("bind mount"))
        return nil
      }
      let old = translation.table.isAttached(owner) ? translation.table.path(of: owner) : nil
      guard translation.relocate(owner, to: name, under: parent, into: &steps) else {
        missedVisits += 1
        return nil
      }
      if let old { steps.append(.emit(.directoryMovedAway(old))) }
      return (owner, .moved)
    }
    if let present, translation.table[present]?.descriptor != nil {
      translation.displace(present, into: &steps)
    }
    let node = translation.table.attach(name, under: parent)
    translation.table.setDescriptor(descriptor, of: node)
    translation.table.setTrouble(nil, of: node)
    return (node, .new)
  }

  private func isReachable(_ node: NodeID) -> Bool {
    do {
      _ = try open(node)
      return true
    } catch {
      return false
    }
  }

  /// The visit that fits the way in which the directory came here; nil if none is needed.
  private func refine(_ visit: Visit, _ placement: Placement, _ node: NodeID, _ descriptor: Int32) -> Visit? {
    switch (visit, placement) {
    case (.initial, .moved), (.appeared, .moved): .surfaced
    case (.appeared, .known): translation.table[node]?.isAnnounced == true ? nil : .appeared
    case (.renamed(let old), .new), (.renamed(let old), .moved): .renamedUnseen(from: old)
    case (.recovered, .new): descriptorsBeforeLoss.contains(descriptor) ? .recovered : .appeared
    default: visit
    }
  }

  private func scan(_ directory: borrowing OpenDirectory, of node: NodeID, _ visit: Visit, depth: Int) {
    let path = translation.table.path(of: node)
    if visit.announcesDirectory { emit(.directoryAppeared(path)) }
    if visit != .initial { translation.table.setAnnounced(node) }
    var subdirectories: [RelativePath] = []
    var entries = 0
    do {
      try directory.list { name, kind in
        entries += 1
        if entries.isMultiple(of: Self.batchCount) { takeRecords() }
        switch name {
        case .text(let name) where kind == .directory: subdirectories.append(name)
        case .text(let name) where kind != .special:
          announce(path.appending(name.string), kind, visit, old: visit.old?.appending(name.string))
        case .undecodable(let name):
          let path = path.appending(name.string)
          // At the start of a watch a comparison follows, which finds this name too.
          if visit != .initial, !isExcluded(path, kind) { emit(.undecodable(path)) }
        case .text, .none: break
        }
      }
    } catch {
      if error.meansGone { return missedVisits += 1 }
      translation.table.setTrouble(.unreadable(error.rawValue), of: node)
      emit(.rescan(path, .unreadable(error.rawValue)))
    }
    takeRecords()
    for name in subdirectories {
      let next = visit.below(name)
      if depth < Self.openLevels {
        enter(name, in: directory, under: node, next, depth: depth + 1)
      } else {
        deferredVisits.append((name, node, next))
      }
    }
  }

  /// Emits the event for one file that a visit found.
  private func announce(_ path: RelativePath, _ kind: EntryKind, _ visit: Visit, old: RelativePath?) {
    guard visit != .initial && visit != .recovered else { return }
    let isIncluded = !isExcluded(path, kind)
    if let old, !isExcluded(old, kind) {
      emit(isIncluded ? .renamed(from: old, to: path) : .deleted(old))
      if isIncluded, case .renamedUnseen = visit { emit(.found(path)) }
    } else if isIncluded {
      emit(.found(path))
    }
  }
}

// Directories that cannot be watched, or are excluded.
extension WatchedTree {
  private func leaveExcluded(_ name: RelativePath, under parent: NodeID, _ visit: Visit) {
    var steps: [TranslationStep] = []
    if let known = translation.table.child(name, of: parent) { translation.remove(known, into: &steps) }
    if let old = visit.old, !isExcluded(old, .directory) { steps.append(.emit(.directoryMovedAway(old))) }
    perform(steps)
  }

  /// Requests a comparison of the directory and remembers the directory for the next try.
  private func fail(_ name: RelativePath, under parent: NodeID, _ reason: RescanReason) {
    guard translation.table[parent] != nil else { return }
    // A watch is refused only for a directory without one. So a watched directory that is known under this
    // name is another directory.
    if reason == .watchLimit, let other = translation.table.child(name, of: parent),
      translation.table[other]?.descriptor != nil
    {
      var steps: [TranslationStep] = []
      translation.displace(other, into: &steps)
      perform(steps)
    }
    let node = translation.table.attach(name, under: parent)
    translation.table.setTrouble(reason, of: node)
    emit(.rescan(translation.table.path(of: node), reason))
  }

  private func clearTrouble(of node: NodeID) {
    switch translation.table[node]?.trouble {
    case .unwatchedFilesystem, nil: break
    default: translation.table.setTrouble(nil, of: node)
    }
  }

  /// Requests comparisons where a filesystem begins that other machines may write.
  private func noteFilesystem(_ directory: borrowing OpenDirectory, of node: NodeID) {
    guard let kind = FilesystemKind(descriptor: directory.descriptor) else { return }
    translation.table.setFilesystem(kind.type, identifier: kind.identifier, of: node)
    let above = translation.table[node]?.parent.flatMap { translation.table[$0]?.filesystem }
    guard let name = kind.remoteName, kind.type != above else { return }
    translation.table.setTrouble(.unwatchedFilesystem(name), of: node)
    emit(.rescan(translation.table.path(of: node), .unwatchedFilesystem(name)))
  }
}

extension VisitFailure {
  fileprivate var code: Int32 {
    switch self {
    case .stale: Errno.noSuchFileOrDirectory.rawValue
    case .refused(let errno): errno.rawValue
    }
  }
}

extension Errno {
  /// The name is not in use, or no longer belongs to a directory.
  var meansGone: Bool {
    self == .noSuchFileOrDirectory || self == .notDirectory || self == .tooManySymbolicLinkLevels
      || self == .staleNFSFileHandle
  }
}
