/// What a path is, as far as pointers are concerned.
package enum Pointing: Sendable, Hashable {
  /// No symbolic link has the name.
  case noLink
  /// A link that leads nowhere, to a directory, or out of the root.
  case astray
  case file(RelativePath, FileStamp)
  /// The entry cannot be read. Its publication reports the error.
  case unseen
}

// Pointers: links whose objects have the content of another file of the tree.
extension AliasFacts {
  /// Finds the pointers among the paths of a batch.
  package mutating func resolvePointers(in batch: inout DirtySet.Batch) {
    for path in batch.entries.keys where DirectoryMarker(path) == nil {
      switch pointing(of: path) {
      case .noLink, .unseen:
        note(path, leadingTo: nil, in: &batch)
        withTable { $0.pointers.forget(path) }
      case .astray:
        note(path, leadingTo: nil, in: &batch)
        withTable { $0.pointers.note(path, leadingTo: nil) }
      case .file(let target, _):
        note(path, leadingTo: target, in: &batch)
        withTable { $0.pointers.note(path, leadingTo: target) }
      }
    }
  }

  private func note(_ path: RelativePath, leadingTo target: RelativePath?, in batch: inout DirtySet.Batch) {
    // Nearly all paths are no links, and an assignment would copy the table.
    if batch.entries[path]?.pointsTo != target { batch.entries[path]?.pointsTo = target }
  }

  /// Adds the pointers whose targets are in the batch, and those that lead to another file or version than
  /// the published one.
  ///
  /// - Parameters:
  ///   - hasCompared: whether the pass has compared directories. It has then published targets that are not
  ///     in the batch.
  ///   - isWaiting: whether a path is dirty but not in the batch. The batch that takes a target takes its
  ///     pointers too.
  package mutating func addPointers(
    to batch: inout DirtySet.Batch, hasCompared: Bool, at now: Instant,
    isWaiting: (RelativePath) -> Bool
  ) {
    if withTable({ $0.pointers.isEmpty }) { return }
    // A link may lead through another link, or through a directory that was renamed.
    let isAnyMoved =
      hasCompared || !batch.goneDirectories.isEmpty
      || batch.entries.contains { path, entry in
        entry.pointsTo != nil || entry.isGone || withTable { $0.pointers.contains(path) }
      }
    let paths = batch.entries.keys
    let links = withTable { isAnyMoved ? $0.pointers.all : $0.pointers.concerned(by: paths) }
    for link in links where batch.entries[link] == nil && !isWaiting(link) {
      switch pointing(of: link) {
      case .noLink, .unseen: continue
      case .astray: withTable { $0.pointers.note(link, leadingTo: nil) }
      case .file(let target, let stamp):
        withTable { $0.pointers.note(link, leadingTo: target) }
        let change = batch.entries[target]
        if change == nil, isWaiting(target) { continue }
        let isCovered =
          isPublished(link, stamp, .renamed) || withTable { $0.pointers.covers(stamp, of: link) }
        guard change?.purpose == .change || !isCovered else { continue }
        batch.entries[link] = DirtyEntry(pointingTo: target, changedAs: change, at: now)
      }
    }
  }
}

extension DirtyEntry {
  /// The entry of a pointer.
  ///
  /// - Parameter change: the entry of the pointer's target; nil if the target did not change.
  fileprivate init(pointingTo target: RelativePath, changedAs change: DirtyEntry?, at now: Instant) {
    self.init(firstChange: change?.firstChange ?? now, lastChange: change?.lastChange ?? now)
    wholeSince = change?.wholeSince
    pointsTo = target
  }
}
