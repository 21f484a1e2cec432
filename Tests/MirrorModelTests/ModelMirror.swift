import MirrorModel

/// A whole mirror without I/O: a model tree, its watch, the schedule, and passes that publish to a model bucket step
/// by step, so that the tree can change in the middle of a pass.
struct ModelMirror {
  /// One step of a random run, as data, so that a failing run can be replayed and made smaller.
  enum Action: Hashable {
    case write(RelativePath, closing: Bool)
    case close(RelativePath)
    case makeDirectory(RelativePath)
    case remove(RelativePath)
    case rename(RelativePath, RelativePath)
    case moveAway(RelativePath)
    case exchange(RelativePath, RelativePath)
    case moveIn(RelativePath, files: [String])
    case touch(RelativePath)
    /// The watch reads this many records.
    case deliver(Int)
    case overflow
    case begin(flush: Bool)
    /// The pass goes on: something begins, or what has begun longest ends.
    case step(failing: Bool)
    /// Whatever has begun goes on without the pass.
    case detach
    /// A publication ends that has outlived its pass.
    case land(failing: Bool)
  }

  /// A publication: what lay under the name when it began to be read.
  private struct Publication {
    var path: RelativePath
    var entry: DirtyEntry?
    /// Nil where nothing had the name.
    var file: ModelTree.File?
    /// With the bytes of a marker in hand, it may go.
    var gate: Gate
  }

  private enum Gate {
    case passed
    case held
  }

  private struct RunningPass {
    var plan: PassPlan
    var isFromComparison: Bool
    var isEntry = false
    var underWay: [Publication] = []
    var failed: Set<RelativePath> = []
    /// Data that were not at their place when the pass came by.
    var absent: Set<RelativePath> = []
  }

  private(set) var tree = ModelTree()
  private(set) var bucket: [RelativePath: ModelTree.File] = [:]
  /// What went wrong, in words.
  private(set) var faults: [String] = []
  /// What was asked of the bucket, as `FilePublisher` and `RemoteRemover` ask.
  private(set) var requests: [String] = []
  private var watch: ModelWatch
  private let filter: PathFilter
  private var schedule: UploadSchedule
  private let order = CommitOrder { $0.name == "latest" }
  private var ledger: [RelativePath: ModelTree.File] = [:]
  private var pass: RunningPass?
  private var flights: [Publication] = []
  private var now = ContinuousClock.now
  /// Entries were dropped, or events lost, and with them who was renamed.
  private var isForgetful: Bool
  /// Files of whose renames the watch cannot tell in full, or not in time.
  private var untraced: Set<ModelTree.ID> = []
  /// Files that were renamed since everything was last told.
  private var untold: Set<ModelTree.ID> = []
  /// The names that files left while a pass is in hand.
  private var left: [RelativePath: ModelTree.ID] = [:]

  init(
    capacity: Int = DirtySet.defaultCapacity, filter: PathFilter = .everything, before actions: [Action] = []
  ) {
    self.filter = filter
    watch = ModelWatch(filter: filter)
    isForgetful = capacity < DirtySet.defaultCapacity
    for action in actions { Self.change(&tree, action) }
    tree.loseRecords()
    schedule = UploadSchedule(
      policy: .init(interval: .seconds(1), openFileGrace: .seconds(2)), dirty: DirtySet(capacity: capacity),
      startingAt: now)
    watch.begin(tree)
    pass = RunningPass(
      plan: PassPlan(DirtySet.Batch(entries: survey(.root)), order: order, removal: .never),
      isFromComparison: true,
      isEntry: true)
  }

  mutating func carryOut(_ action: Action) {
    now += .milliseconds(300)
    let before = tree.files()
    Self.change(&tree, action)
    traceRenames(from: before, by: action)
    switch action {
    case .deliver(let count): deliver(count)
    case .overflow:
      isForgetful = true
      tree.loseRecords()
      watch.overflow(tree)
      schedule.note(watch.takeEvents(), at: now)
    case .begin(let flush):
      guard pass == nil else { return }
      if flush { deliver(.max) }
      begin(flush ? .flush : .tick)
    case .step(let failing): step(failing: failing)
    case .detach: detach()
    case .land(let failing): land(failing: failing)
    default: break
    }
  }

  private static func change(_ tree: inout ModelTree, _ action: Action) {
    switch action {
    case .write(let path, let closing):
      tree.write(path, closing: closing, isMarker: path.name == "latest")
    case .close(let path): tree.close(path)
    case .makeDirectory(let path): tree.makeDirectory(path)
    case .remove(let path): tree.remove(path)
    case .rename(let from, let to): tree.rename(from, to)
    case .moveAway(let path): tree.moveAway(path)
    case .exchange(let one, let other): tree.exchange(one, other)
    case .moveIn(let path, let files): tree.moveIn(path, files: files)
    case .touch(let path): tree.touch(path)
    case .deliver, .overflow, .begin, .step, .detach, .land: break
    }
  }

  /// Ends the pass in hand and what is in flight, without failures.
  mutating func finishPass() {
    while pass != nil { step(failing: false) }
    while !flights.isEmpty { land(failing: false) }
  }

  /// Publishes until nothing is dirty, without failures.
  mutating func drain() {
    finishPass()
    deliver(.max)
    // What comes back once for a reason does not for ever.
    for _ in 0..<20 where pass == nil {
      now += .seconds(300)
      begin(.drain)
      finishPass()
    }
    if !schedule.dirty.isEmpty { faults.append("never clean: \(schedule.dirty.entries.keys.sorted())") }
  }

  /// What the drained bucket has that the tree has not, and the other way round.
  func differences(ignoringExtras: Bool) -> [String] {
    let files = tree.files()
    let wrong = files.filter { bucket[$0.key]?.version != $0.value.version }.keys.sorted()
    let extras = ignoringExtras ? [] : bucket.keys.filter { files[$0] == nil }.sorted()
    return wrong.map { "\($0) is not what the tree has" } + extras.map { "\($0) is left behind" }
  }

  private mutating func deliver(_ count: Int) {
    let records = tree.takeRecords(min(count, tree.records.count))
    for record in records { watch.translate(record, tree) }
    if tree.records.isEmpty { untold = [] }
    schedule.note(watch.takeEvents(), at: now)
  }

  // MARK: A pass: the plan's actions are carried out on the model's bucket

  private mutating func begin(_ trigger: UploadSchedule.Trigger) {
    guard let next = schedule.begin(trigger, at: now) else { return }
    var batch = next.batch
    for directory in batch.rescans.keys {
      requests.append("ListObjectsV2")
      batch.entries.merge(survey(directory)) { watched, _ in watched }
    }
    pass = RunningPass(
      plan: PassPlan(batch, order: order, removal: .everything, within: next.surroundings),
      isFromComparison: !batch.rescans.isEmpty)
  }

  private func survey(_ directory: RelativePath) -> [RelativePath: DirtyEntry] {
    tree.files(below: directory)
      .filter { bucket[$0.key]?.version != $0.value.version && !filter.excludes($0.key, .file) }
      .filter { schedule.dirty.inFlight[$0.key] == nil }
      .mapValues { _ in DirtyEntry(at: now) }
  }

  /// What begins is read at once; it is on S3 only when it ends, some steps later.
  private mutating func step(failing: Bool) {
    guard var running = pass else { return }
    // A few are under way at one time.
    if running.underWay.count < 2, running.plan.hasReady, case .publish(let path) = running.plan.next() {
      begin(path, of: &running)
    } else if !running.underWay.isEmpty {
      let publication = running.underWay.removeFirst()
      let fact = end(publication, failing: failing, passing: running.absent)
      if fact == .absent { running.absent.insert(publication.path) }
      if fact == .failed { running.failed.insert(publication.path) }
      _ = running.plan.note(fact, of: publication.path)
    } else {
      finish(&running, failing: failing)
      return
    }
    pass = running
  }

  private mutating func begin(_ path: RelativePath, of running: inout RunningPass) {
    let file = tree.file(at: path)
    let isHeld = order.isMarker(path) && file != nil && isHeldByGate(path, running.isFromComparison)
    if order.isMarker(path), let file, !isHeld { checkMarker(path, file, passing: running.absent) }
    running.underWay.append(
      Publication(
        path: path, entry: running.plan.entry(of: path), file: file, gate: isHeld ? .held : .passed))
  }

  /// - Parameter gone: data that were not at their place when the pass came by.
  private mutating func end(
    _ publication: Publication, failing: Bool, passing gone: Set<RelativePath>
  ) -> PassPlan.Publication {
    let (path, entry) = (publication.path, publication.entry)
    guard let file = publication.file else { return .absent }
    if publication.gate == .held { return .waiting(isOpen: false) }
    if failing {
      // The answer to a request may be lost after it was carried out.
      if file.version.isMultiple(of: 2) && !order.isMarker(path) { bucket[path] = file }
      return .failed
    }
    let isCopy = !order.isMarker(path) && entry?.renamedFrom.map { isPublished(file, as: $0) } ?? false
    requests.append("\(isCopy ? "CopyObject" : "PutObject") \(path)")
    bucket[path] = isCopy ? entry?.renamedFrom.flatMap { bucket[$0] } : file
    ledger[path] = file
    return .published(.latest)
  }

  private mutating func detach() {
    guard var running = pass, !running.isEntry, !running.underWay.isEmpty, !running.plan.hasReady else {
      return
    }
    let flights = running.plan.detach()
    schedule.depart(flights)
    self.flights += running.underWay
    running.underWay = []
    pass = running
  }

  private mutating func land(failing: Bool) {
    guard !flights.isEmpty else { return }
    let publication = flights.removeFirst()
    let path = publication.path
    let fact = end(publication, failing: failing, passing: [])
    var plan = PassPlan(
      DirtySet.Batch(entries: publication.entry.map { [path: $0] } ?? [:]), order: order, removal: .later)
    while case .publish(let path) = plan.next() { _ = plan.note(fact, of: path) }
    deliver(.max)
    schedule.land(
      path, back: plan.result.unpublished.entries[path], failure: fact == .failed ? .unknown : nil,
      isAnswered: fact != .failed, at: now)
  }

  private func isPublished(_ file: ModelTree.File, as origin: RelativePath) -> Bool {
    guard let known = ledger[origin], known.inode == file.inode, known.version == file.version else {
      return false
    }
    return bucket[origin]?.version == known.version
  }

  /// As MarkerGate: with the marker's bytes in hand, everything that happened until now is drawn in.
  private mutating func isHeldByGate(_ marker: RelativePath, _ isFromComparison: Bool) -> Bool {
    deliver(.max)
    let dirty = schedule.dirty
    if dirty.rescans.keys.contains(where: marker.isWithin) { return true }
    let isRewritten = dirty.entries[marker] != nil
    if isFromComparison && isRewritten { return true }
    guard isRewritten || isFromComparison else { return false }
    let data = dirty.entries.filter { $0.value.holdsMarkers }.keys
    return order.obstacle(to: marker, among: Array(data) + dirty.rescans.keys) != nil
  }

  /// Everything that the marker names and that is still there must be on S3.
  ///
  /// - Parameter gone: data that were not at their place when the pass came by; whoever moves them there and back
  ///   while the marker stands has broken the promise himself.
  private mutating func checkMarker(
    _ path: RelativePath, _ marker: ModelTree.File, passing gone: Set<RelativePath>
  ) {
    for (name, named) in marker.names {
      let place = path.parent.appending(name.string)
      guard !gone.contains(place), let present = tree.file(at: place), present.inode == named.inode,
        present.moved == named.moved || present.moved == marker.moved
      else { continue }
      guard let object = bucket[place], object.inode == named.inode, object.version >= named.version else {
        faults.append("\(path) is published ahead of \(place)")
        continue
      }
    }
  }

  /// A file of two renames in one go is met where the second led, half of an exchange by a look that tells of no rename,
  /// and what a pass publishes under a name that changed hands meanwhile may be either file.
  private mutating func traceRenames(from before: [RelativePath: ModelTree.File], by action: Action) {
    let places = Dictionary(before.map { ($0.value.inode, $0.key) }, uniquingKeysWith: { $1 })
    for (path, file) in tree.files() {
      guard let old = places[file.inode], old != path else { continue }
      if case .exchange = action { untraced.insert(file.inode) }
      if !untold.insert(file.inode).inserted { untraced.insert(file.inode) }
      if pass != nil { left[old] = file.inode }
    }
    for (path, inode) in left where tree.file(at: path) != nil { untraced.insert(inode) }
  }

  /// A file that is there and had an object must have one after deletes, under whatever name.
  private mutating func checkVersions(of inodes: Set<ModelTree.ID>) {
    guard !isForgetful else { return }
    let left = Set(bucket.values.map(\.inode))
    for (path, file) in tree.files()
    where inodes.subtracting(left).subtracting(untraced).contains(file.inode)
      && !filter.excludes(path, .file)
    {
      faults.append("the last object of \(path) is deleted before it is published")
    }
  }

  private mutating func finish(_ running: inout RunningPass, failing: Bool) {
    carryOutDeletes(of: &running, failing: failing)
    let result = running.plan.result
    pass = nil
    left = [:]
    // The watch may be late, but not from one pass to the next.
    deliver(.max)
    if running.isEntry {
      schedule.adopt(result.unpublished, at: now)
    } else {
      schedule.finish(unpublished: result.unpublished, failed: running.failed, at: now)
    }
  }

  private mutating func carryOutDeletes(of running: inout RunningPass, failing: Bool) {
    while true {
      switch running.plan.next() {
      case .publish, .wait: preconditionFailure("a plan that is published has nothing to publish")
      case .over: return
      case .askForOrigins:
        deliver(.max)
        running.plan.note(origins: schedule.dirty.origins) { ledger[$0] != nil }
      case .list(let directory):
        requests.append("ListObjectsV2")
        if failing {
          running.failed.insert(directory)
          running.plan.note(listing: nil, of: directory)
          continue
        }
        // As a listing of the keys that begin with `directory/`: the object of its own name is not among them.
        let objects = bucket.keys.filter { $0.isWithin(directory) && $0 != directory }
        running.plan.note(listing: objects.map { ($0, etag: "") }, of: directory)
      case .delete(let deletion):
        let (gone, kept) = deletion.paths.partitioned { tree.file(at: $0) == nil }
        if failing {
          running.failed.formUnion(gone)
          running.plan.note(deleted: [], kept: kept, withheld: [], failed: gone)
          continue
        }
        delete(gone)
        running.plan.note(deleted: gone, kept: kept, withheld: [], failed: [])
      }
    }
  }

  private mutating func delete(_ gone: [RelativePath]) {
    // Markers before what they name.
    for isMarker in [true, false] where gone.contains(where: { order.isMarker($0) == isMarker }) {
      requests.append("DeleteObjects")
    }
    let kept = Set(bucket.values.map(\.inode))
    for path in gone {
      bucket[path] = nil
      ledger[path] = nil
    }
    checkVersions(of: kept)
  }
}
