/// Commit markers that are removed from S3 just before data under them are written over, and published anew after that (UNIT-6).
///
/// A marker on S3 says that the data under it are complete. While these are replaced file by file, a reader that follows the marker would
/// find some of the old version and some of the new one.
package struct Withdrawals: Sendable {
  /// A marker that is on S3.
  package struct Marker: Sendable, Hashable {
    package var path: RelativePath
    package var reach: Reach

    package init(_ path: RelativePath, _ reach: Reach) {
      self.path = path
      self.reach = reach
    }

    /// A marker whose content on S3 is not known.
    package init(unread path: RelativePath) {
      self.init(path, Tracker.mayBe(path, byteCount: 0) ? .below : .directory)
    }

    fileprivate func speaks(for data: RelativePath) -> Bool {
      guard data != path, data.isWithin(path.parent) else { return false }
      switch reach {
      case .directory: return true
      case .below: return data.parent != path.parent
      case .places(let places): return places.contains { data.isWithin($0) }
      }
    }
  }

  /// For which data a marker speaks.
  package enum Reach: Sendable, Hashable {
    /// All under its directory.
    case directory
    /// Those in the directories of its directory. It names one of them, and which one is not known.
    case below
    /// Those in what it names.
    case places([RelativePath])
  }

  private var markersOver: [RelativePath: [RelativePath]] = [:]

  package init() {}

  /// - Parameters:
  ///   - overwritten: data whose objects are replaced.
  ///   - markers: those on S3 in the directories above them.
  package init(of overwritten: [RelativePath], under markers: Set<Marker>) {
    if markers.isEmpty { return }
    for data in overwritten {
      let spoken = markers.filter { $0.speaks(for: data) }.map(\.path)
      if !spoken.isEmpty { markersOver[data] = spoken.sorted { $0.ancestors.count < $1.ancestors.count } }
    }
  }

  package var isEmpty: Bool { markersOver.isEmpty }

  /// The markers to remove before the object of a path is replaced: those further up first.
  package func markers(over data: RelativePath) -> [RelativePath] { markersOver[data] ?? [] }

  /// What each marker waits for, so that it is published anew.
  var dataUnder: [RelativePath: [RelativePath]] {
    var data: [RelativePath: [RelativePath]] = [:]
    for (path, markers) in markersOver { for marker in markers { data[marker, default: []].append(path) } }
    return data
  }
}

extension DirtySet.Batch {
  /// Data of the batch whose publication replaces an object.
  ///
  /// - Parameter hasObject: whether an object lies under a name, as far as is known.
  package func overwritten(
    _ order: CommitOrder, hasObject: (RelativePath, DirtyEntry) -> Bool
  ) -> [RelativePath] {
    entries.compactMap { path, entry in
      let isData =
        !order.isMarker(path) && !order.marks.contains(path) && !order.appended.contains(path)
        && DirectoryMarker(path) == nil && entry.purpose != .undecodable
      // What was gone when the batch was taken may be there again when its turn comes.
      return isData && hasObject(path, entry) ? path : nil
    }
  }

  /// Adds the markers that are removed before their data go, so that they go again after those.
  mutating func add(_ withdrawals: Withdrawals, inFlight: [RelativePath: DirtyEntry]) {
    for (marker, data) in withdrawals.dataUnder where entries[marker] == nil && inFlight[marker] == nil {
      let changes = data.compactMap { entries[$0] }
      guard let first = changes.map(\.firstChange).min(), let last = changes.map(\.lastChange).max() else {
        continue
      }
      entries[marker] = DirtyEntry(.recheck, firstChange: first, lastChange: last)
    }
  }
}
