/// Commit markers and the data that each waits for.
///
/// A gate is a directory that holds markers of the batch. A path passes when it is published or needs no
/// publication. The gate opens when every path of the batch below the directory has passed. The first path
/// below it that is not published blocks the gate for this pass.
struct MarkerGates: Sendable {
  private struct Gate: Sendable {
    var markers: [RelativePath] = []
    /// Paths of the batch that have not passed.
    var outstanding = 0
    var state = State.closed
  }

  private enum State: Sendable {
    case closed
    case open
    case blocked
  }

  private let order: CommitOrder
  private var gates: [RelativePath: Gate] = [:]
  /// The gates below each directory.
  private var below: [RelativePath: [RelativePath]] = [:]
  private var closedCount: Int

  init(order: CommitOrder, of entries: [RelativePath: DirtyEntry]) {
    self.order = order
    for path in entries.keys where order.isMarker(path) {
      gates[path.parent, default: Gate()].markers.append(path)
    }
    closedCount = gates.count
    guard !gates.isEmpty else { return }
    for directory in gates.keys {
      for place in directory.ancestors { below[place, default: []].append(directory) }
    }
    for (path, entry) in entries where !order.isSnapshot(path, entry) {
      for directory in gatesWaiting(for: path) { gates[directory]?.outstanding += 1 }
    }
  }

  /// Whether each marker may be published or is blocked.
  var areDecided: Bool { closedCount == 0 }

  /// Markers that wait for data of the batch.
  var waiting: [RelativePath] { gates.values.lazy.filter { $0.state == .closed }.flatMap(\.markers) }

  /// The gates that wait for a path. If a marker has the former name of a directory with markers, those
  /// markers are decided first.
  private func gatesWaiting(for path: RelativePath) -> [RelativePath] {
    directories(around: path).filter { $0 != path || !order.isMarker(path) }
  }

  /// The gates that a path can close or block. A marker does not affect the gate of its own directory.
  private func directories(around path: RelativePath) -> [RelativePath] {
    if gates.isEmpty { return [] }
    let own = order.isMarker(path) ? path.parent : nil
    return ([path] + path.ancestors).filter { gates[$0] != nil && $0 != own }
  }

  /// - Returns: the markers that need not wait for any path of the batch.
  mutating func openWithoutData() -> [RelativePath] {
    gates.keys.filter { gates[$0]?.outstanding == 0 }.flatMap { open($0) }
  }

  /// Notes that a path is published, or that there is nothing to publish for it.
  ///
  /// - Returns: the markers that may be published now.
  mutating func pass(_ path: RelativePath) -> [RelativePath] {
    var opened: [RelativePath] = []
    for directory in gatesWaiting(for: path) {
      gates[directory]?.outstanding -= 1
      if gates[directory]?.outstanding == 0 { opened += open(directory) }
    }
    return opened
  }

  private mutating func open(_ directory: RelativePath) -> [RelativePath] {
    guard let gate = gates[directory], gate.state == .closed else { return [] }
    gates[directory]?.state = .open
    closedCount -= 1
    return gate.markers
  }

  /// Notes that a path is not published: a file below a gate's directory, or a directory above it that could
  /// not be compared.
  ///
  /// - Returns: the markers that wait for a later pass, and the path for which each waits. Markers further up
  ///   wait for these markers.
  mutating func block(_ path: RelativePath) -> [(marker: RelativePath, obstacle: RelativePath)] {
    var blocked: [(marker: RelativePath, obstacle: RelativePath)] = []
    var obstacles = [path]
    while let obstacle = obstacles.popLast() {
      for directory in directories(around: obstacle) + (below[obstacle] ?? []) {
        guard let gate = gates[directory], gate.state == .closed else { continue }
        gates[directory]?.state = .blocked
        closedCount -= 1
        blocked += gate.markers.map { ($0, obstacle) }
        obstacles += gate.markers
      }
    }
    return blocked
  }
}

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
  /// Whether a path can only be published as a snapshot: its file is being written for the first time, so no
  /// marker waits for it.
  func isSnapshot(_ path: RelativePath, _ entry: DirtyEntry) -> Bool {
    entry.isOpen && !entry.holdsMarkers && !isMarker(path)
  }
}
