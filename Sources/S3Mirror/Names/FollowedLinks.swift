import LocalTree
import MirrorModel
import Synchronization

/// The symbolic links that are followed, as far as they were met: inotify(7) tells when a link comes and goes, and
/// nothing of what it leads to. So that is compared at each tick.
///
/// Links behind a link that leads to a directory are compared with it, and not kept.
final class FollowedLinks: Sendable {
  private struct Link {
    /// The version of a file behind it that is published or dirty. Nil where that has to be found out.
    var reckoned: FileStamp?
    /// It led to a directory, so objects may lie below its name.
    var hasLedToDirectory = false
    /// It was found missing, and the event that says so is still to come.
    var isGone = false
  }

  private struct State {
    var links: [RelativePath: Link] = [:]
    /// Met since somebody asked last.
    var fresh: Set<RelativePath> = []
  }

  /// What a link has in store for a pass.
  enum Finding {
    /// A directory, to be compared; so is what cannot be looked at, for the comparison says why.
    case directory
    /// A file that is another one, or another version, than the one that is published.
    case changed
    case nothing
  }

  private let state = Mutex(State())
  /// Nanoseconds since 1970-01-01 UTC.
  private let wallClock: @Sendable () -> Int64

  init(wallClock: @escaping @Sendable () -> Int64) {
    self.wallClock = wallClock
  }

  /// Asks for the comparison of what all links lead to.
  var events: [WatchEvent] {
    state.withLock { state in
      state.fresh = []
      return state.links.compactMap { path, link in link.isGone ? nil : .rescan(path, .followedLink) }
    }
  }

  /// The links that led to a directory when they were looked at.
  var directories: [RelativePath] {
    state.withLock { state in
      state.links.compactMap { path, link in link.hasLedToDirectory && !link.isGone ? path : nil }
    }
  }

  /// Asks for the comparison of what the links lead to that were met since.
  func takeFreshEvents() -> [WatchEvent] {
    state.withLock { state in
      defer { state.fresh = [] }
      return state.fresh.map { .rescan($0, .followedLink) }
    }
  }

  /// For walks: keeps the links that they meet.
  var observer: TreeWalk.LinkObserver {
    { self.note($0, leadingTo: $1) }
  }

  /// Keeps a link that a comparison meets.
  ///
  /// - Parameter target: what it leads to; nil when that is nothing, or a directory above it.
  func note(_ path: RelativePath, leadingTo target: TreeRoot.Entry?) {
    let stamp = target?.kind == .file ? trusted(target?.stamp) : nil
    state.withLock { state in
      if path.ancestors.contains(where: { state.links[$0]?.hasLedToDirectory == true }) { return }
      let known = state.links[path]
      var link = known ?? Link(reckoned: stamp)
      link.isGone = false
      if target?.kind == .directory { link.hasLedToDirectory = true }
      state.links[path] = link
      if known?.isGone ?? true { state.fresh.insert(path) }
    }
  }

  /// Nil for a stamp that a further write could leave as it is.
  private func trusted(_ stamp: FileStamp?) -> FileStamp? {
    stamp.flatMap { $0.timeUntilTrusted(at: wallClock()) == .zero ? $0 : nil }
  }

  private func isKept(_ path: RelativePath) -> Bool { state.withLock { $0.links[path] != nil } }

  /// Forgets a link.
  ///
  /// - Returns: whether objects may lie below its name.
  private func forget(_ path: RelativePath) -> Bool {
    state.withLock { state in
      state.fresh.remove(path)
      return state.links.removeValue(forKey: path)?.hasLedToDirectory ?? false
    }
  }

  private func change(_ path: RelativePath, _ change: (inout Link) -> Void) {
    state.withLock { state in
      guard var link = state.links[path] else { return }
      change(&link)
      state.links[path] = link
    }
  }
}

extension FollowedLinks {
  /// Looks which of the names in a batch are links, or were: one that leads to a directory is compared, and what lay
  /// below a name that leads elsewhere now, or is none any more, has left the tree.
  func complete(_ batch: inout DirtySet.Batch, in root: TreeRoot, ledger: PublishedLedger) {
    for (path, entry) in batch.entries where !path.hasTrailingSlash {
      let kind: EntryKind?
      do {
        kind = try root.look(at: path, symlinks: .skip)?.kind
      } catch {
        // It lies behind a link, or whoever has to publish it says what is wrong.
        continue
      }
      if kind == .symbolicLink {
        take(path, entry, in: &batch, root)
      } else if forget(path) {
        batch.goneDirectories[path] = entry.firstChange
        // Below the name are objects, and none of its own.
        if kind == nil, ledger.etag(of: path) == nil { batch.entries[path] = nil }
      }
    }
  }

  private func take(
    _ path: RelativePath, _ entry: DirtyEntry, in batch: inout DirtySet.Batch, _ root: TreeRoot
  ) {
    // The writer of what it leads to uses another name.
    batch.entries[path]?.isWrittenElsewhere = true
    let target = target(of: path, in: root)
    // What it led to was lost, not deleted here.
    guard let target else { return note(path, leadingTo: nil) }
    if forget(path) { batch.goneDirectories[path] = entry.firstChange }
    note(path, leadingTo: target)
    guard target.kind == .directory else { return }
    batch.rescans[path] = .followedLink
    // No file had the name.
    if entry.isNew { batch.entries[path] = nil }
  }

  /// Looks at what a link leads to that is compared in this pass.
  func look(at path: RelativePath, in root: TreeRoot, ledger: PublishedLedger) -> Finding {
    // Too many links are compared by way of the directories that they lie in.
    guard isKept(path) else { return .directory }
    do {
      let own = try root.look(at: path, symlinks: .skip)?.kind
      guard own == .symbolicLink else {
        change(path) { $0.isGone = true }
        return own == .directory ? .directory : .nothing
      }
      guard let target = try root.look(at: path) else { return .nothing }
      switch target.kind {
      case .directory:
        change(path) { $0.hasLedToDirectory = true }
        return .directory
      case .file: return isChanged(path, target.stamp, ledger) ? .changed : .nothing
      case .symbolicLink, .special: return .nothing
      }
    } catch {
      return .directory
    }
  }

  private func isChanged(_ path: RelativePath, _ stamp: FileStamp, _ ledger: PublishedLedger) -> Bool {
    let reckoned = state.withLock { $0.links[path]?.reckoned }
    if let reckoned, reckoned.isSameVersion(as: stamp) { return false }
    let trusted = trusted(stamp)
    change(path) { $0.reckoned = trusted }
    return ledger.record(of: path, matching: stamp, ignoringChangeTime: .untouched) == nil
  }

  /// Nil where it leads to nothing.
  private func target(of path: RelativePath, in root: TreeRoot) -> TreeRoot.Entry? {
    guard case .success(let target?) = Result(catching: { () throws(TreeError) in try root.look(at: path) }),
      target.kind != .symbolicLink
    else { return nil }
    return target
  }
}
