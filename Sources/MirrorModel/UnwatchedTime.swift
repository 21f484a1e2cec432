/// The time for which a file had existed when a comparison found it open for writing, before any event of it was
/// heard (PUB-19).
///
/// An earlier version of the file may have been complete in that time, and a commit marker that was written then
/// may name that version. No event tells. A file that is written for the first time is younger than the markers
/// that do not name it, and a marker that is written later names no file that was open all the time.
package struct UnwatchedTime: Sendable, Hashable {
  /// When the file was created, in nanoseconds since 1970-01-01 UTC; nil if the filesystem does not keep it.
  private let birth: Int64?
  /// When the file was found, in nanoseconds since 1970-01-01 UTC.
  private let end: Int64

  package init(since birth: Int64?, until end: Int64) {
    self.birth = birth
    self.end = end
  }

  /// Whether a marker may name an earlier version of the file.
  func includes(_ marker: FileStamp) -> Bool {
    // The time of the last change, because a marker that was renamed or copied may have an older time of
    // writing.
    marker.changed <= end && birth.map { $0 <= marker.changed } ?? true
  }
}

extension PassPlan.Surroundings {
  /// Finds the markers of a batch that may name an earlier version of a file that is open, or that a pass may find
  /// open.
  ///
  /// - Parameters:
  ///   - earlier: paths that earlier batches of the same pass have left unpublished.
  ///   - stamp: the stamp of the file at a path; nil if there is none.
  package mutating func note(
    markersOf batch: DirtySet.Batch, _ order: CommitOrder, earlier: [RelativePath: DirtyEntry] = [:],
    stamp: (RelativePath) -> FileStamp?
  ) {
    var open = unwatched
    for entries in [earlier, batch.entries] {
      for (path, entry) in entries where entry.unwatched != nil { open[path] = entry.unwatched }
    }
    if open.isEmpty { return }
    for (path, entry) in batch.entries where order.isMarker(path) && !entry.isGone {
      let below = open.filter { file, _ in file != path && file.isWithin(path.parent) && !order.isMarker(file)
      }
      guard !below.isEmpty, let marker = stamp(path) else { continue }
      let named = below.filter { $0.value.includes(marker) }.keys
      if !named.isEmpty { openUnder[path] = named.sorted() }
    }
  }
}
