/// What must not be dirty when a commit marker goes.
package enum MarkerStrictness: Sendable, Hashable {
  /// The batch held all data closed before the marker: nothing if the marker is rewritten, or a directory to compare above it.
  case marker
  /// The batch comes from a comparison, which saw the tree at no single moment: nothing under its directory.
  case directory
  /// The watch has ended, and the batch holds what it had told of: only the marker's stamp can speak against it.
  case stamp
}

// Which markers wait for what is dirty.
extension DirtySet {
  /// Whether a marker whose bytes are in hand has to wait for what has happened since its batch was taken: they may name data that
  /// came after it.
  ///
  /// - Parameter otherNames: the other names of the file that a path leads to.
  package func holdsBack(
    _ marker: RelativePath, order: CommitOrder, _ strictness: MarkerStrictness,
    otherNames: (RelativePath) -> Set<RelativePath>
  ) -> Bool {
    if strictness == .stamp { return false }
    // Written under another name of its file.
    if otherNames(marker).contains(where: { entries[$0] != nil }) { return true }
    var dirty = paths(around: marker.parent)
    // Data are dirty too where their file changed under a name elsewhere.
    for (path, entry) in entries where entry.holdsMarkers {
      dirty += otherNames(path).filter { $0 != marker && $0.isWithin(marker.parent) }
    }
    if dirty.contains(where: { $0 != marker && marker.isWithin($0) }) { return true }
    switch strictness {
    case .marker:
      // Every change of data is told of, so the bytes in hand name nothing that is not published or dirty; a directory that has
      // come since the batch was taken may have got no watch.
      guard dirty.contains(marker) else { return false }
      return order.obstacle(to: marker, among: dirty + polled.keys) != nil
    case .directory, .stamp:
      // Data in a directory without a watch may have changed with the marker, and no event says so.
      return dirty.contains(marker) || order.obstacle(to: marker, among: dirty) != nil
    }
  }

  /// What changed below a directory since the last batch was taken, as far as it was ever whole; a directory that
  /// must be compared stands for itself, unless it must be at every tick.
  package func paths(around directory: RelativePath) -> [RelativePath] {
    let changed = entries.filter { $0.value.holdsMarkers && $0.key.isWithin(directory) }
    let rescans = rescans.filter { rescan, reason in
      !reason.isStanding && (rescan.isWithin(directory) || directory.isWithin(rescan))
    }
    return Array(changed.keys) + rescans.keys
  }

  /// Directories that wait to be compared because no event tells of their changes, and why.
  package var polled: [RelativePath: RescanReason] { rescans.filter(\.value.isStanding) }
}
