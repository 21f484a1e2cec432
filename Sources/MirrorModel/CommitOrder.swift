/// The order of a pass: in-progress marks, data, then commit markers from the deepest directory up; deletes
/// last.
///
/// A marker tells readers that the files it names are complete. So a marker is published only after
/// everything under its directory that was closed before the marker (PUB-12). An in-progress mark tells
/// readers that the files are incomplete (CLS-2).
package struct CommitOrder: Sendable {
  private let isMarkerName: @Sendable (RelativePath) -> Bool
  package var marks = ProgressMarks.none
  /// Names that are only appended to. Such files belong to no unit.
  package var appended = NamePatterns.none

  /// - Parameter isMarker: whether a path is a commit marker (`commitLast` patterns).
  package init(isMarker: @escaping @Sendable (RelativePath) -> Bool) {
    isMarkerName = isMarker
  }

  /// - Parameter patterns: gitignore-style patterns of commit markers, relative to the root.
  /// - Throws: `GlobPattern`'s error for a pattern that cannot be read.
  package init(commitLast patterns: [String]) throws {
    let markers = try NamePatterns(patterns)
    self.init { markers.contains($0) }
  }

  package func isMarker(_ path: RelativePath) -> Bool { isMarkerName(path) }

  /// Whether a path is data by its name: no commit marker, no in-progress mark, and not the marker of a
  /// directory.
  func isData(_ path: RelativePath) -> Bool {
    !isMarker(path) && !marks.contains(path) && DirectoryMarker(path) == nil
  }

  /// Groups of paths to publish one group after the other: first all data, then the markers from the deepest
  /// directories up. A marker further up (`latest`) refers to the markers below it
  /// (`checkpoint-5/.metadata`).
  package func groups(of paths: some Sequence<RelativePath>) -> [[RelativePath]] {
    var data: [RelativePath] = []
    var markers: [Int: [RelativePath]] = [:]
    for path in paths {
      if isMarker(path) {
        markers[path.ancestors.count, default: []].append(path)
      } else {
        data.append(path)
      }
    }
    let ordered = markers.sorted { $0.key > $1.key }.map { $0.value.sorted() }
    return data.isEmpty ? ordered : [data.sorted()] + ordered
  }

  /// The first unpublished path that a marker has to wait for, if there is one: a path below the marker's
  /// directory, or a directory above the marker that could not be compared. A marker never waits for another
  /// marker of its own directory.
  package func obstacle(to marker: RelativePath, among unpublished: some Sequence<RelativePath>)
    -> RelativePath?
  {
    let directory = marker.parent
    return unpublished.first { path in
      path != marker && (path.isWithin(directory) || directory.isWithin(path))
        && !(isMarker(path) && path.parent == directory)
    }
  }
}
