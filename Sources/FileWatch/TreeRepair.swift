import MirrorModel
import SystemPackage

// The start of the watch, and repairs: after lost events, and where watches are missing.
extension WatchedTree {
  /// Watches the root and every directory below it.
  func start() throws(WatchError) {
    do {
      let directory = try OpenDirectory(root: root)
      guard try watchRoot(directory) else { return flush() }
      visitRoot(directory, .initial)
    } catch {
      throw .system(operation: "watching", path: root, error)
    }
    flush()
    catchUp()
  }

  /// - Returns: false if the limit allows no watch now; a later try may succeed.
  private func watchRoot(_ directory: borrowing OpenDirectory) throws(Errno) -> Bool {
    do {
      let descriptor = try instance.watch(directory, among: translation.table)
      translation.table.setDescriptor(descriptor, of: WatchTable.root)
      translation.table.setTrouble(nil, of: WatchTable.root)
      return true
    } catch {
      guard error == .noSpace || error == .noMemory else { throw error }
      translation.table.setTrouble(.watchLimit, of: WatchTable.root)
      emit(.rescan(.root, .watchLimit))
      return false
    }
  }

  /// Builds the table again from the disk. For watched directories the kernel returns the old descriptors, so
  /// no event is lost. Watches whose directory the walk does not find are removed.
  func rewalk() {
    let before = translation.table
    guard !translation.isRootLost, let rootDescriptor = before[WatchTable.root]?.descriptor else { return }
    do {
      let directory = try OpenDirectory(root: root)
      let descriptor = try instance.watch(directory, among: before)
      guard descriptor == rootDescriptor else {
        if before.owner(of: descriptor) == nil { instance.unwatch(descriptor) }
        return loseRoot()
      }
      translation.table = WatchTable()
      translation.table.setDescriptor(descriptor, of: WatchTable.root)
      descriptorsBeforeLoss = before.descriptors
      visitRoot(directory, .recovered)
      for vanished in before.descriptors.subtracting(translation.table.descriptors) {
        instance.unwatch(vanished)
      }
      descriptorsBeforeLoss = []
    } catch {
      if error.meansGone || error == .noSpace { return loseRoot() }
      emit(.rescan(.root, .unreadable(error.rawValue)))
    }
  }

  /// Tries again to set missing watches, and requests comparisons of all parts whose events are incomplete.
  ///
  /// A directory that gets its watch now is compared once more, after the watch is set.
  func retryUnwatched() {
    var isExhausted = false
    let troubled = translation.table.troubled.map { ($0, translation.table.path(of: $0)) }
    for (node, path) in troubled.sorted(by: { $0.1 < $1.1 }) {
      guard let trouble = translation.table[node]?.trouble else { continue }
      let isWatched = translation.table[node]?.descriptor != nil
      if isWatched, case .unwatchedFilesystem = trouble {
        emit(.rescan(path, trouble))
      } else if trouble == .watchLimit && isExhausted {
        // After one refusal no further watch is tried. Otherwise a tree far above the limit would cost a
        // system call for each directory.
        emit(.rescan(path, trouble))
      } else {
        retry(node, path, trouble)
        isExhausted = isExhausted || translation.table[node]?.trouble == .watchLimit
      }
    }
    catchUp()
  }

  /// Visits a place again where a filesystem was mounted or unmounted, and requests a comparison.
  ///
  /// A mount has no event, and an unmount has one only when the filesystem is mounted nowhere any more. The
  /// known content of the place is forgotten before the visit, because files that are invisible now were not
  /// deleted.
  func revisit(_ place: RelativePath) {
    if isExcluded(place, .directory) { return }
    let name = RelativePath(String(place.name))
    if !translation.isRootLost, let parent = translation.table.node(at: place.parent) {
      if let known = translation.table.child(name, of: parent) {
        var steps: [TranslationStep] = []
        translation.remove(known, into: &steps)
        perform(steps)
      }
      visit(name, under: parent, .initial)
      // The mount point may also be a single file.
      if translation.table.child(name, of: parent) == nil { recheck(name, under: parent) }
    }
    emit(.rescan(place, .remounted))
  }

  private func retry(_ node: NodeID, _ path: RelativePath, _ trouble: RescanReason) {
    translation.table.setTrouble(nil, of: node)
    guard let name = translation.table[node]?.name, let parent = translation.table[node]?.parent else {
      return retryRoot(trouble)
    }
    visit(name, under: parent, .initial)
    if translation.table[node]?.trouble != nil { return }
    if translation.table[node]?.descriptor != nil {
      emit(.rescan(path, trouble))
    } else if translation.table[node] != nil {
      var steps: [TranslationStep] = []
      translation.remove(node, into: &steps)
      perform(steps)
    }
  }

  private func retryRoot(_ trouble: RescanReason) {
    do {
      let directory = try OpenDirectory(root: root)
      guard try watchRoot(directory) else { return }
      visitRoot(directory, .initial)
      emit(.rescan(.root, trouble))
    } catch {
      if error.meansGone { return loseRoot() }
      translation.table.setTrouble(.unreadable(error.rawValue), of: WatchTable.root)
      emit(.rescan(.root, .unreadable(error.rawValue)))
    }
  }
}
