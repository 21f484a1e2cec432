/// Commit markers and the data that each waits for.
///
/// A gate is a directory that holds markers of the batch. It opens when everything of the batch below the directory has passed, and it
/// is blocked for this pass by the first path below it that is not published.
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
  /// Directories above a gate's, and the gates below each.
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

  /// Whether each marker may go or is blocked.
  var areDecided: Bool { closedCount == 0 }

  /// Markers that wait for data of the batch.
  var waiting: [RelativePath] { gates.values.lazy.filter { $0.state == .closed }.flatMap(\.markers) }

  /// The gates that wait until a path has passed. Where a marker's name was a directory's with markers below it, those go first.
  private func gatesWaiting(for path: RelativePath) -> [RelativePath] {
    directories(around: path).filter { $0 != path || !order.isMarker(path) }
  }

  /// The gates that a path closes. A marker closes no gate of its own directory.
  private func directories(around path: RelativePath) -> [RelativePath] {
    if gates.isEmpty { return [] }
    let own = order.isMarker(path) ? path.parent : nil
    return ([path] + path.ancestors).filter { gates[$0] != nil && $0 != own }
  }

  /// - Returns: the markers that wait for no path of the batch.
  mutating func openWithoutData() -> [RelativePath] {
    gates.keys.filter { gates[$0]?.outstanding == 0 }.flatMap { open($0) }
  }

  /// Notes that a path is published, or that nothing of it is to be published.
  ///
  /// - Returns: the markers that may go now.
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

  /// Notes that a path is not published: a file below a gate's directory, or a directory above it that could not be compared.
  ///
  /// - Returns: the markers that wait for a later pass, and what each of them waits for. Those further up wait for them.
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

/// What of a batch has not begun, in the order in which it begins: in-progress marks, markers whose data are there, data, snapshots.
struct StartQueue: Sendable {
  private var marks: ArraySlice<RelativePath>
  private var markers: [RelativePath] = []
  private var data: ArraySlice<RelativePath>
  private var snapshots: ArraySlice<RelativePath>
  private var mayBeginSnapshots = false

  /// - Parameters:
  ///   - marks: what goes first.
  ///   - held: what is added later.
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
    // Nothing that is ready waits for what comes late.
    data += more.sorted()
  }

  /// Takes out all data, but for what goes as snapshots.
  mutating func takeData() -> [RelativePath] {
    defer { data = [] }
    return Array(data)
  }

  /// Takes data out that have not begun.
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
  /// Whether a path can only go as a snapshot of a file in its first writing, for which no marker waits.
  func isSnapshot(_ path: RelativePath, _ entry: DirtyEntry) -> Bool {
    entry.isOpen && !entry.holdsMarkers && !isMarker(path)
  }
}
