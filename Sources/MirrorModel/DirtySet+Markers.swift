/// Which dirty paths hold a commit marker back.
package enum MarkerStrictness: Sendable, Hashable {
  /// The batch holds all data that were closed before the marker. So the marker waits for dirty paths only if
  /// it was rewritten since, or if a directory above it must be compared.
  case marker
  /// The batch comes from a comparison, which does not see the tree at one moment. The marker waits for every
  /// dirty path under its directory.
  case directory
  /// The watch has ended, and the batch holds everything that the watch reported. Only the marker's stamp can
  /// show a later change.
  case stamp
}

// Decides which markers wait for dirty paths.
extension DirtySet {
  /// Whether a marker whose bytes were already read has to wait for changes since its batch was taken. The
  /// bytes may name data that changed after the batch was taken.
  ///
  /// - Parameter otherNames: returns the other names of the file at a path.
  package func holdsBack(
    _ marker: RelativePath, order: CommitOrder, _ strictness: MarkerStrictness,
    otherNames: (RelativePath) -> Set<RelativePath>
  ) -> Bool {
    if strictness == .stamp { return false }
    // The marker was written under another name of its file.
    if otherNames(marker).contains(where: { entries[$0] != nil }) { return true }
    var dirty = paths(around: marker.parent)
    // A file below the marker's directory is dirty too if it changed under a name elsewhere.
    for (path, entry) in entries where entry.holdsMarkers {
      dirty += otherNames(path).filter { $0 != marker && $0.isWithin(marker.parent) }
    }
    if dirty.contains(where: { $0 != marker && marker.isWithin($0) }) { return true }
    switch strictness {
    case .marker:
      // The watch reports every change of data, so whatever the bytes name is published or dirty. But a
      // directory that was created since the batch was taken may have no watch.
      guard dirty.contains(marker) else { return false }
      return order.obstacle(to: marker, among: dirty + polled.keys) != nil
    case .directory, .stamp:
      // Data in a directory without a watch may have changed together with the marker, and no event reports
      // that.
      return dirty.contains(marker) || order.obstacle(to: marker, among: dirty) != nil
    }
  }

  /// Whether a pointer whose bytes were already read has to wait for its target. Otherwise it would show a
  /// version that has no object under the target's own name.
  ///
  /// - Parameters:
  ///   - isPublished: whether the target's present version is on S3.
  ///   - otherNames: the other names of the target's file.
  package func holdsBack(
    pointerTo target: RelativePath, isPublished: Bool, otherNames: Set<RelativePath>
  ) -> Bool {
    // No event need bear the target's own name.
    if entries[target] != nil || otherNames.contains(where: { entries[$0] != nil }) { return true }
    return !isPublished && (underWay.entries[target] != nil || inFlight[target] != nil)
  }

  /// The paths below a directory that changed since the last batch was taken and had a complete version. A
  /// directory that must be compared is one of these paths, unless it is compared at every tick.
  package func paths(around directory: RelativePath) -> [RelativePath] {
    let changed = entries.filter { $0.value.holdsMarkers && $0.key.isWithin(directory) }
    let rescans = rescans.filter { rescan, reason in
      !reason.isStanding && (rescan.isWithin(directory) || directory.isWithin(rescan))
    }
    return Array(changed.keys) + rescans.keys
  }

  /// Directories that are compared at every tick because no event reports their changes, with the reason.
  package var polled: [RelativePath: RescanReason] { rescans.filter(\.value.isStanding) }
}
