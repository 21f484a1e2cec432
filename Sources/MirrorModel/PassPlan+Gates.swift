/// What waits in a pass for other paths: pointers for data, and commit markers for data and pointers.
struct Gates: Sendable {
  private let order: CommitOrder
  /// Pointers wait for data only. So they come before the markers that cover them, and a marker never waits
  /// for a pointer that waits for the marker.
  private var ofPointers: GateTier
  private var ofMarkers: GateTier

  init(order: CommitOrder, of entries: [RelativePath: DirtyEntry]) {
    self.order = order
    var markers: [RelativePath: RelativePath] = [:]
    var pointers: [RelativePath: RelativePath] = [:]
    for (path, entry) in entries {
      if order.isMarker(path) {
        markers[path] = path.parent
      } else if let target = order.targetToWaitFor(path, entry) {
        // A link to a marker is a marker too. It must not wait for a marker that waits for it.
        if order.isMarker(target) {
          markers[path] = path.parent
        } else {
          pointers[path] = path.commonDirectory(with: target)
        }
      }
    }
    ofMarkers = GateTier(markers)
    ofPointers = GateTier(pointers)
    for (path, entry) in entries where !order.isSnapshot(path, entry) {
      ofMarkers.expect(path)
      if isData(path) { ofPointers.expect(path) }
    }
  }

  private func isData(_ path: RelativePath) -> Bool {
    !order.isMarker(path) && !contains(path)
  }

  /// Whether each marker and pointer may be published or is blocked.
  var areDecided: Bool { ofMarkers.areDecided && ofPointers.areDecided }

  /// Markers that wait for paths of the batch.
  var waiting: [RelativePath] { ofMarkers.waiting }

  /// Whether a path of the batch begins only when its gate opens.
  func contains(_ path: RelativePath) -> Bool { ofMarkers.isMember(path) || ofPointers.isMember(path) }

  var members: Set<RelativePath> { ofMarkers.allMembers.union(ofPointers.allMembers) }

  /// - Returns: the markers and pointers that need not wait for any path of the batch.
  mutating func openWithoutData() -> [RelativePath] {
    ofPointers.openWithoutData() + ofMarkers.openWithoutData()
  }

  /// Notes that a path is published, or that there is nothing to publish for it.
  ///
  /// - Returns: the markers and pointers that may be published now.
  mutating func pass(_ path: RelativePath) -> [RelativePath] {
    (isData(path) ? ofPointers.pass(path) : []) + ofMarkers.pass(path)
  }

  /// Notes that a path is not published: a file below a gate's directory, or a directory above it that could
  /// not be compared.
  ///
  /// - Returns: the markers and pointers that wait for a later pass, and the path for which each waits.
  mutating func block(_ path: RelativePath) -> [(member: RelativePath, obstacle: RelativePath)] {
    let pointers = isData(path) ? ofPointers.block(path) : []
    return pointers + ofMarkers.block(path) + pointers.flatMap { ofMarkers.block($0.member) }
  }
}

/// Commit markers, or pointers, and the paths that each waits for.
///
/// A gate is a directory that holds markers of the batch. A path passes when it is published or needs no
/// publication. The gate opens when every path of the batch below the directory has passed. The first path
/// below it that is not published blocks the gate for this pass.
///
/// The gate of a pointer is the nearest directory that holds both the pointer and its target.
struct GateTier: Sendable {
  private struct Gate: Sendable {
    var members: [RelativePath] = []
    /// Paths of the batch that have not passed.
    var outstanding = 0
    var state = State.closed
  }

  private enum State: Sendable {
    case closed
    case open
    case blocked
  }

  private let directoryOf: [RelativePath: RelativePath]
  private var gates: [RelativePath: Gate] = [:]
  /// The gates below each directory.
  private var below: [RelativePath: [RelativePath]] = [:]
  private var closedCount: Int

  /// - Parameter directoryOf: the members, and the directory of each member's gate.
  init(_ directoryOf: [RelativePath: RelativePath]) {
    self.directoryOf = directoryOf
    for (member, directory) in directoryOf { gates[directory, default: Gate()].members.append(member) }
    closedCount = gates.count
    for directory in gates.keys {
      for place in directory.ancestors { below[place, default: []].append(directory) }
    }
  }

  /// Notes a path of the batch that has not passed.
  mutating func expect(_ path: RelativePath) {
    for directory in gatesWaiting(for: path) { gates[directory]?.outstanding += 1 }
  }

  func isMember(_ path: RelativePath) -> Bool { directoryOf[path] != nil }

  var allMembers: Set<RelativePath> { Set(directoryOf.keys) }

  var areDecided: Bool { closedCount == 0 }

  var waiting: [RelativePath] { gates.values.lazy.filter { $0.state == .closed }.flatMap(\.members) }

  /// The gates that wait for a path. If a marker has the former name of a directory with markers, those
  /// markers are decided first.
  private func gatesWaiting(for path: RelativePath) -> [RelativePath] {
    directories(around: path).filter { $0 != path || !isMember(path) }
  }

  /// The gates that a path can close or block. A member does not affect its own gate.
  private func directories(around path: RelativePath) -> [RelativePath] {
    if gates.isEmpty { return [] }
    let own = directoryOf[path]
    return ([path] + path.ancestors).filter { gates[$0] != nil && $0 != own }
  }

  mutating func openWithoutData() -> [RelativePath] {
    gates.keys.filter { gates[$0]?.outstanding == 0 }.flatMap { open($0) }
  }

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
    return gate.members
  }

  /// Members further up wait for the blocked members.
  mutating func block(_ path: RelativePath) -> [(member: RelativePath, obstacle: RelativePath)] {
    var blocked: [(member: RelativePath, obstacle: RelativePath)] = []
    var obstacles = [path]
    while let obstacle = obstacles.popLast() {
      for directory in directories(around: obstacle) + (below[obstacle] ?? []) {
        guard let gate = gates[directory], gate.state == .closed else { continue }
        gates[directory]?.state = .blocked
        closedCount -= 1
        blocked += gate.members.map { ($0, obstacle) }
        obstacles += gate.members
      }
    }
    return blocked
  }
}
