/// One pass over a batch, as a value: which paths may be published now, which must wait, and which objects
/// may be deleted at the end.
///
/// Facts go in (`note`), actions come out (`next`). A driver carries the actions out and need not know their
/// order.
///
/// Paths are independent of each other unless a rule connects them:
/// - An in-progress mark is published before the paths that it announces, and removed after them.
/// - The files of a unit appear together, when the bytes of all its large files are on the server.
/// - A pointer is published after its target, and after all data under the directory that holds both.
/// - A commit marker is published after all data under its directory that were whole before it.
/// - A commit marker on S3 is removed before data that it covers are overwritten, and published again after
///   them.
/// - An object is deleted after everything that changed before the delete is published, and only if nothing
///   in the pass has failed.
/// - In a group of hosts, a commit marker whose data are published here waits until the group releases it.
/// - The object under the old name of a renamed file stays until the file is published under its new name.
package struct PassPlan: Sendable {
  package let order: CommitOrder
  let batch: DirtySet.Batch
  let surroundings: Surroundings
  let removal: Removal
  private let events: Events
  package internal(set) var result = PassResult()

  private var queue: StartQueue
  var gates: Gates
  private var holds: MarkHolds
  private var units = UnitStages()
  /// Nil if the time is not short.
  private var deadline: DeadlineOrder?
  /// Directories of units that have outlived their pass.
  private let flyingUnits: Set<RelativePath>
  private var underWay: Set<RelativePath> = []
  /// Publications that go on without the pass.
  var detached: [RelativePath: DirtyEntry] = [:]
  var absent: [RelativePath] = []
  /// Files that vanished after the batch was taken. A marker may have named them.
  private var vanished: [RelativePath] = []
  private var held: Set<RelativePath> = []
  var hasFailed: Bool
  var stage = Stage.publishing
  /// Whether only in-progress marks are deleted, because something has failed.
  var isLimitedToMarks = false

  enum Stage {
    case publishing
    case origins
    case listing(DeleteStage)
    case deleting
    case over
  }

  package init(
    _ batch: DirtySet.Batch, order: CommitOrder, removal: Removal, events: Events = .complete,
    within surroundings: Surroundings = Surroundings()
  ) {
    var batch = batch
    if surroundings.returning == .withTheirData {
      batch.add(surroundings.withdrawals, inFlight: surroundings.inFlight)
    }
    batch.settleBriefMarks(order.marks, removal, unpublished: surroundings.unpublishedPaths)
    self.batch = batch
    self.order = order
    self.removal = removal
    self.events = events
    self.surroundings = surroundings
    hasFailed = surroundings.hasFailed
    gates = Gates(order: order, of: batch.entries)
    holds = MarkHolds(order.marks, of: batch.entries, unpublished: surroundings.unpublishedPaths)
    flyingUnits = Set(surroundings.inFlight.values.lazy.compactMap(\.unit))
    queue = StartQueue(batch.entries, order: order, marks: holds.first, holding: gates.members)
    for path in surroundings.deferred.union(surroundings.unpublished) {
      close(gates.block(path))
    }
    for (path, entry) in surroundings.inFlight where entry.holdsMarkers || order.isMarker(path) {
      close(gates.block(path))
    }
    holdData()
    offer(markers: gates.openWithoutData())
    noteMarkersDecided()
  }

  // MARK: Holding paths back

  private func hold(of path: RelativePath) -> MarkHolds.Hold {
    if !flyingUnits.isEmpty, isUnitData(path),
      let unit = flyingUnits.first(where: { $0.isRoot ? path.parent.isRoot : path.isWithin($0) })
    {
      return .blocked(unit)
    }
    return holds.hold(of: path)
  }

  /// Removes the paths that wait for a mark or a unit from those that may begin.
  private mutating func holdData() {
    guard !holds.isEmpty || !flyingUnits.isEmpty else { return }
    let held = batch.entries.keys.filter {
      !gates.contains($0) && !holds.isPending($0) && hold(of: $0) != .none
    }
    queue.remove(Set(held))
    offer(data: held)
  }

  /// Queues the paths that need not wait for anything.
  private mutating func offer(data paths: [RelativePath]) {
    queue.add(data: paths.filter { takesItsTurn($0) })
  }

  private mutating func offer(markers paths: [RelativePath]) {
    queue.add(markers: paths.filter { takesItsTurn($0) })
  }

  private mutating func takesItsTurn(_ path: RelativePath) -> Bool {
    if deadline?.admits(path) == false { return false }
    if units.isHeld(path) { return false }
    if isHeldByGroup(path) {
      leaveToGroup(path)
      return false
    }
    if let open = openFile(under: path) {
      leave(path, for: open)
      return false
    }
    switch hold(of: path) {
    case .none: return true
    case .pending(let mark):
      holds.wait(path, for: mark)
      return false
    case .blocked(let obstacle):
      leave(path, for: obstacle)
      return false
    }
  }

  /// Leaves a path that has not begun for a later pass.
  private mutating func leave(_ path: RelativePath, for obstacle: RelativePath) {
    result.unpublished.entries[path] = batch.entries[path]
    result.blocked[path] = obstacle
    close(gates.block(path))
    endStage(of: path)
    endTurn(of: path)
  }

  /// Whether a marker whose data are published here must wait for other hosts. A delete does not wait: it makes
  /// no reader look for data.
  private func isHeldByGroup(_ path: RelativePath) -> Bool {
    surroundings.group.holds(path) && order.isMarker(path) && batch.entries[path]?.isGone == false
  }

  /// An open file of which a marker may name an earlier version.
  private func openFile(under marker: RelativePath) -> RelativePath? {
    surroundings.openUnder[marker]?.first { file in
      // The gate has waited for a file of the batch, unless the file was known to be open.
      (result.unpublished.entries[file] ?? batch.entries[file]).map(\.isOpen) ?? true
    }
  }

  private mutating func leaveToGroup(_ path: RelativePath) {
    result.unpublished.entries[path] = batch.entries[path]
    result.heldByGroup.insert(path)
    // The markers further up wait for the group too. So the group decides on all of them at once.
    let above = gates.block(path)
    result.heldByGroup.formUnion(above.map(\.member).filter { batch.entries[$0]?.isGone == false })
    close(above)
    endTurn(of: path)
  }

  /// Lets the paths begin that waited for a path, or leaves them for a later pass with it.
  private mutating func endHold(by path: RelativePath) {
    guard holds.isPending(path) else { return }
    guard result.unpublished.entries[path] != nil else {
      let (markers, data) = holds.pass(path).partitioned(by: gates.contains)
      offer(data: data)
      return offer(markers: markers)
    }
    for waiting in holds.block(path) { leave(waiting, for: path) }
  }

  /// Notes that no bytes of a path need to be waited for any more.
  private mutating func endStage(of path: RelativePath) {
    if let rest = units.pass(path) { offer(data: rest) }
  }

  /// Notes that nothing more is published for a path in this pass.
  private mutating func endTurn(of path: RelativePath) {
    if let next = deadline?.end(path), !next.isEmpty { offer(data: next) }
  }

  /// Lets snapshots begin when no marker waits for its data any more. A snapshot takes two readings with a
  /// pause between them, and would occupy a place that a marker could use.
  private mutating func noteMarkersDecided() {
    if gates.areDecided { queue.releaseSnapshots() }
  }

  // MARK: Out

  /// The markers to be read before their data are published.
  package var markersToHold: [RelativePath: DirtyEntry] {
    // The group releases the version that has the name now, and no earlier one.
    guard events == .complete, surroundings.group == .none else { return [:] }
    let waiting = gates.waiting.compactMap { path -> (RelativePath, DirtyEntry)? in
      // The marker that a pointer shows is held itself. An earlier version under the pointer would be older than that.
      guard let entry = batch.entries[path], entry.pointsTo.map(order.isMarker) != true else { return nil }
      return (path, entry)
    }
    return Dictionary(waiting, uniquingKeysWith: { first, _ in first })
  }

  /// Whether a publication may begin.
  package var hasReady: Bool { queue.hasReady }

  /// Whether all publications have ended.
  package var isPublished: Bool { underWay.isEmpty && !queue.hasReady }

  package var pathCount: Int { batch.entries.count }

  package func entry(of path: RelativePath) -> DirtyEntry? { batch.entries[path] }

  /// The markers to remove from S3 before the object of a path appears.
  package func markersToWithdraw(before path: RelativePath) -> [RelativePath] {
    surroundings.withdrawals.markers(over: path)
  }

  package mutating func next() -> Action {
    if let path = queue.popFirst() {
      underWay.insert(path)
      return .publish(path)
    }
    guard underWay.isEmpty else { return .wait }
    switch stage {
    case .publishing: return endPublishing()
    case .origins: return .askForOrigins
    case .listing(let deletes):
      if let directory = deletes.nextListing { return .list(directory) }
      stage = .deleting
      return .delete(deletes.deletion)
    case .deleting: return .wait
    case .over: return .over
    }
  }

  // MARK: Units

  /// Notes which files are sent in parts. Their bytes are sent before any object of their units appears. Must
  /// be called before anything begins.
  package mutating func note(large: Set<RelativePath>) {
    guard !large.isEmpty else { return }
    units = UnitStages(unitMembers, large: large)
    queue.remove(Set(units.held))
  }

  /// Notes that the pass may have to end before everything is published. Must be called after `note(large:)`
  /// and before anything begins.
  ///
  /// - Parameter sizes: the sizes of `dataOfBatch`.
  package mutating func note(sizes: [RelativePath: Int64], budget: DeadlineOrder.Budget) {
    var data: [RelativePath: (byteCount: Int64, lastChange: Instant)] = [:]
    for path in dataOfBatch {
      guard let entry = batch.entries[path] else { continue }
      data[path] = (sizes[path] ?? 0, entry.lastChange)
    }
    deadline = DeadlineOrder(
      data, rest: Set(data.keys.filter(order.appended.contains)), budget: budget)
    let begun = queue.takeData()
    offer(data: begun)
  }

  /// Whether the bytes of a path are sent before its object may appear (`note(staged:)`).
  package func isStaged(_ path: RelativePath) -> Bool { units.large.contains(path) }

  /// Whether the object of a path may appear.
  package func mayAppear(_ path: RelativePath) -> Bool { units.isOpen(path) }

  /// Notes that all bytes of a path are on the server.
  package mutating func note(staged path: RelativePath) { endStage(of: path) }

  /// Notes the end of a publication that went on after the pass.
  package mutating func noteEnded(_ path: RelativePath) {
    underWay.remove(path)
    endStage(of: path)
  }

  // MARK: In: publications

  /// Notes which markers were read before their data were published.
  package mutating func note(held markers: Set<RelativePath>) { held = markers }

  /// - Parameter now: when the publication ended.
  package mutating func note(_ publication: Publication, of path: RelativePath, at now: Instant) -> Sequel {
    let entry = batch.entries[path]
    if case .waiting = publication, held.contains(path),
      !vanished.contains(where: { $0.isWithin(path.parent) })
    {
      held.remove(path)
      return .publishHeldVersion
    }
    underWay.remove(path)
    if publication.isAbsence, entry?.isGone != true { vanished.append(path) }
    take(publication, of: path, entry: entry, at: now)
    // A marker that is published later first checks the events for changed data. If the watch has ended, no
    // event reports such changes, so the later version blocks the marker here.
    let isBehind = events == .ended && result.superseded.contains(path)
    if result.unpublished.entries[path]?.holdsMarkers == true || isBehind {
      close(gates.block(path))
    } else if entry.map({ order.isSnapshot(path, $0) }) != true {
      offer(markers: gates.pass(path))
    }
    endHold(by: path)
    endStage(of: path)
    endTurn(of: path)
    noteMarkersDecided()
    return .nothing
  }

  private mutating func take(
    _ publication: Publication, of path: RelativePath, entry: DirtyEntry?, at now: Instant
  ) {
    switch publication {
    case .published(let version):
      result.settled.append(path)
      result.met.append(path)
      if entry?.isNew == true { result.created += 1 }
      switch version {
      case .latest: break
      case .snapshot:
        guard var entry, entry.isWrittenElsewhere else { break }
        // Perhaps no event reports the close, so later passes check for it.
        entry.noteSnapshot(at: now)
        result.unpublished.entries[path] = entry
      case .superseded: result.superseded.insert(path)
      case .held:
        result.superseded.insert(path)
        result.held.insert(path)
      }
    case .absent:
      if entry?.isNew == true { result.settled.append(path) } else { absent.append(path) }
    case .isDirectory: absent.append(path)
    case .shown:
      result.created += 1
      absent.append(path)
    case .needless: result.settled.append(path)
    case .refused: result.unpublished.entries[path] = entry
    case .waiting(let isOpen):
      result.unpublished.entries[path] = entry
      // The file was opened after its last close, before the watch began, or under another name. Its grace
      // begins now.
      if isOpen { result.unpublished.entries[path]?.noteFoundOpen(at: now) }
    case .failed:
      hasFailed = true
      result.unpublished.entries[path] = entry
    }
  }

  /// Leaves markers and pointers for a later pass.
  private mutating func close(_ members: [(member: RelativePath, obstacle: RelativePath)]) {
    for (member, obstacle) in members {
      result.unpublished.entries[member] = batch.entries[member]
      result.blocked[member] = obstacle
    }
  }

  /// Lets the publications under way go on after the pass, and leaves paths that have not begun for a later
  /// pass.
  ///
  /// A unit whose bytes are being sent goes on as a whole, including its files that have not begun. The plan
  /// still decides when these may begin.
  ///
  /// - Returns: the publications that go on, with what was known of their paths. A plan of its own concludes
  ///   each of them.
  package mutating func detach() -> [RelativePath: DirtyEntry] {
    for path in underWay { depart(path) }
    for path in holds.blockAll() { leave(path, for: hold(of: path).obstacle ?? .root) }
    for path in units.held {
      if let obstacle = hold(of: path).obstacle { leave(path, for: obstacle) } else { depart(path) }
    }
    queue.releaseSnapshots()
    while let path = queue.popFirst() {
      result.unpublished.entries[path] = batch.entries[path]
      close(gates.block(path))
    }
    underWay = []
    return detached
  }

  private mutating func depart(_ path: RelativePath) {
    detached[path] = batch.entries[path]
    detached[path]?.unit = units.unit(of: path)
    close(gates.block(path))
  }
}
