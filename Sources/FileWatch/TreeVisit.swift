import MirrorModel
import SystemPackage

/// How a directory's watch came to the place where it was met.
private enum Placement {
  case known
  case new
  /// It is known from elsewhere; the record of its rename is still to come, or was lost.
  case moved
}

/// Why a known directory could not be opened.
private enum VisitFailure: Error {
  /// Another one, or none, has its place now: the table is behind the disk, and records that mend it will follow.
  case stale
  case refused(Errno)
}

// Visiting: the watch is placed first and the directory listed afterwards, so that what appears in between is
// given out twice, never missed.
extension WatchedTree {
  func visit(_ name: RelativePath, under parent: NodeID, _ visit: Visit) {
    visitShallow(name, under: parent, visit)
    while let next = deferredVisits.popLast() { visitShallow(next.name, under: next.parent, next.visit) }
  }

  /// Visits the root's contents; the root itself has its watch.
  func visitRoot(_ directory: borrowing OpenDirectory, _ visit: Visit) {
    noteFilesystem(directory, of: WatchTable.root)
    scan(directory, of: WatchTable.root, visit, depth: 0)
    while let next = deferredVisits.popLast() { visitShallow(next.name, under: next.parent, next.visit) }
  }

  /// Looks at a name that may be in use though a rename seemed to leave it.
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

  /// Reports that the tree is gone when its place is empty or taken by another one.
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
  /// Levels of directories held open at a time, one descriptor each; `ulimit -n` is 1024 where nobody raised it.
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

  /// Opens a known directory by its path, and makes sure that it is the one the table means: the kernel must give
  /// the same watch descriptor for it. Inode numbers would not do, since overlayfs changes them on copy-up.
  private func open(_ node: NodeID) throws(VisitFailure) -> OpenDirectory {
    guard let expected = translation.table[node]?.descriptor else { throw .stale }
    do {
      let directory = try OpenDirectory(root: root).descendant(translation.table.path(of: node))
      let actual = try instance.watch(directory, among: translation.table)
      if actual == expected { return directory }
      if translation.table.owner(of: actual) == nil { instance.unwatch(actual) }
    } catch let errno {
      // A known directory takes no further watch, so no space for one means another directory.
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
    // Before the watch: what is given up here loses its own, which may be the one that this directory has.
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

  /// Brings the table in line with a descriptor that was just given for this name; nil when nothing is to be scanned.
  private func place(
    _ descriptor: Int32, _ name: RelativePath, under parent: NodeID
  ) -> (NodeID, Placement)? {
    guard translation.table[parent] != nil else {
      // Its parent was forgotten during the walk, and what comes of it will be told.
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
        // One inode, two places: a bind mount. It has one watch, whose events bear the other name.
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

  /// What is to be done with the directory, now that it is known how it came here; nil for nothing.
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
          // At the start of a watch a comparison follows, which finds it too.
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

  /// Gives out one file that was met.
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

// What cannot be watched, or shall not be.
extension WatchedTree {
  private func leaveExcluded(_ name: RelativePath, under parent: NodeID, _ visit: Visit) {
    var steps: [TranslationStep] = []
    if let known = translation.table.child(name, of: parent) { translation.remove(known, into: &steps) }
    if let old = visit.old, !isExcluded(old, .directory) { steps.append(.emit(.directoryMovedAway(old))) }
    perform(steps)
  }

  /// Has the directory compared, and remembers it for the next try.
  private func fail(_ name: RelativePath, under parent: NodeID, _ reason: RescanReason) {
    guard translation.table[parent] != nil else { return }
    // A watch is refused only to a directory that has none, so one that is known under this name is another one.
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

  /// Where a filesystem with writers elsewhere begins, says so.
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
  /// The name is free, or something that is no directory has it now.
  var meansGone: Bool {
    self == .noSuchFileOrDirectory || self == .notDirectory || self == .tooManySymbolicLinkLevels
      || self == .staleNFSFileHandle
  }
}
