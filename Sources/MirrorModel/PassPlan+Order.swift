/// The paths of a batch that have not begun, in the order in which they begin: in-progress marks, markers
/// whose data are published, data, snapshots.
struct StartQueue: Sendable {
  private var marks: ArraySlice<RelativePath>
  private var markers: [RelativePath] = []
  private var data: ArraySlice<RelativePath>
  private var snapshots: ArraySlice<RelativePath>
  private var mayBeginSnapshots = false

  /// - Parameters:
  ///   - marks: the paths that begin first.
  ///   - held: the paths that are added later.
  init(
    _ entries: [RelativePath: DirtyEntry], order: CommitOrder, marks: Set<RelativePath> = [],
    holding held: Set<RelativePath> = []
  ) {
    self.marks = marks.sorted()[...]
    let free = entries.keys.filter { !order.isMarker($0) && !marks.contains($0) && !held.contains($0) }
    let (snapshots, others) = Array(free)
      .partitioned { path in entries[path].map { order.isSnapshot(path, $0) } ?? false }
    data = others.sorted()[...]
    self.snapshots = snapshots.sorted()[...]
  }

  var hasReady: Bool {
    !marks.isEmpty || !markers.isEmpty || !data.isEmpty || (mayBeginSnapshots && !snapshots.isEmpty)
  }

  mutating func releaseSnapshots() { mayBeginSnapshots = true }

  mutating func add(markers more: [RelativePath]) {
    guard !more.isEmpty else { return }
    markers = (markers + more).sorted { $1 < $0 }
  }

  mutating func add(data more: [RelativePath]) {
    guard !more.isEmpty else { return }
    // Late paths are appended, so that no ready path waits for them.
    data += more.sorted()
  }

  /// Takes out all data, except files that can only be published as snapshots.
  mutating func takeData() -> [RelativePath] {
    defer { data = [] }
    return Array(data)
  }

  /// Removes data that have not begun.
  mutating func remove(_ held: Set<RelativePath>) {
    guard !held.isEmpty else { return }
    data = data.filter { !held.contains($0) }[...]
  }

  mutating func popFirst() -> RelativePath? {
    marks.popFirst() ?? markers.popLast() ?? data.popFirst()
      ?? (mayBeginSnapshots ? snapshots.popFirst() : nil)
  }
}

extension CommitOrder {
  /// The file to which a pointer leads; nil if the path is no pointer by its entry. One that can only be
  /// published as a snapshot waits for nothing.
  func targetToWaitFor(_ path: RelativePath, _ entry: DirtyEntry) -> RelativePath? {
    guard let target = entry.pointsTo, !entry.isGone, !isMarker(path), !isSnapshot(path, entry) else {
      return nil
    }
    return target
  }

  /// Whether a path can only be published as a snapshot: its file is being written for the first time, so no
  /// marker waits for it.
  func isSnapshot(_ path: RelativePath, _ entry: DirtyEntry) -> Bool {
    entry.isOpen && !entry.holdsMarkers && !isMarker(path)
  }
}
