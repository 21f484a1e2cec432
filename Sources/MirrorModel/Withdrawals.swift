/// Commit markers that are removed from S3 just before data that they cover are overwritten, and published
/// again after the data (UNIT-6).
///
/// A marker on S3 tells readers that its data are complete. While these data are replaced file by file, a
/// reader that follows the marker would find files of the old and of the new version.
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

  /// Which data a marker covers.
  package enum Reach: Sendable, Hashable {
    /// All data below its directory.
    case directory
    /// Data in the subdirectories of its directory. The marker names one of them, and it is not known which.
    case below
    /// Data in the places that it names.
    case places([RelativePath])
  }

  private var markersOver: [RelativePath: [RelativePath]] = [:]

  package init() {}

  /// - Parameters:
  ///   - overwritten: data whose objects are replaced.
  ///   - markers: the markers on S3 in the directories above the data.
  package init(of overwritten: [RelativePath], under markers: Set<Marker>) {
    if markers.isEmpty { return }
    for data in overwritten {
      let spoken = markers.filter { $0.speaks(for: data) }.map(\.path)
      if !spoken.isEmpty { markersOver[data] = spoken.sorted { $0.ancestors.count < $1.ancestors.count } }
    }
  }

  /// The markers to remove before the object of a path is replaced, those further up first.
  package func markers(over data: RelativePath) -> [RelativePath] { markersOver[data] ?? [] }

  /// For each marker, the data after which it is published again.
  var dataUnder: [RelativePath: [RelativePath]] {
    var data: [RelativePath: [RelativePath]] = [:]
    for (path, markers) in markersOver { for marker in markers { data[marker, default: []].append(path) } }
    return data
  }
}

extension DirtySet.Batch {
  /// Data of the batch whose publication replaces an object.
  ///
  /// - Parameter hasObject: whether an object has the name, as far as known.
  package func overwritten(
    _ order: CommitOrder, hasObject: (RelativePath, DirtyEntry) -> Bool
  ) -> [RelativePath] {
    entries.compactMap { path, entry in
      // A link to a marker is published like a marker.
      let isData =
        order.isData(path) && !order.appended.contains(path) && entry.purpose != .undecodable
        && entry.pointsTo.map(order.isMarker) != true
      // A file that was gone when the batch was taken may exist again when its turn comes.
      return isData && hasObject(path, entry) ? path : nil
    }
  }

  /// Adds the markers that are removed before their data, so that they are published again after the data.
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
