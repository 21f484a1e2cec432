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
    /// The pass goes on with one path.
    case step(failing: Bool)
  }

  private struct RunningPass {
    var batch: DirtySet.Batch
    var queue: [RelativePath]
    var unpublished: Set<RelativePath>
    var isFromComparison: Bool
    var isEntry = false
    var absent: [RelativePath] = []
    var back = DirtySet.Batch()
    var failed: Set<RelativePath> = []
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
    start(DirtySet.Batch(entries: survey(.root)), deferred: [], isFromComparison: true)
    pass?.isEntry = true
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
    case .deliver, .overflow, .begin, .step: break
    }
  }

  /// Ends the pass in hand, without failures.
  mutating func finishPass() {
    while pass != nil { step(failing: false) }
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

  // MARK: A pass, as PublishPass makes it

  private mutating func begin(_ trigger: UploadSchedule.Trigger) {
    guard let next = schedule.begin(trigger, at: now) else { return }
    var batch = next.batch
    for directory in batch.rescans.keys {
      requests.append("ListObjectsV2")
      batch.entries.merge(survey(directory)) { watched, _ in watched }
    }
    start(batch, deferred: next.deferred, isFromComparison: !batch.rescans.isEmpty)
  }

  private func survey(_ directory: RelativePath) -> [RelativePath: DirtyEntry] {
    tree.files(below: directory)
      .filter { bucket[$0.key]?.version != $0.value.version && !filter.excludes($0.key, .file) }
      .mapValues { _ in DirtyEntry(writing: .unknown, firstChange: now, lastChange: now) }
  }

  private mutating func start(_ batch: DirtySet.Batch, deferred: Set<RelativePath>, isFromComparison: Bool) {
    pass = RunningPass(
      batch: batch, queue: order.groups(of: batch.entries.keys).flatMap { $0 }, unpublished: deferred,
      isFromComparison: isFromComparison)
  }

  private mutating func step(failing: Bool) {
    guard var running = pass else { return }
    if running.queue.isEmpty {
      finish(&running, failing: failing)
      return
    }
    let path = running.queue.removeFirst()
    let entry = running.batch.entries[path]
    func comeBack() {
      running.back.entries[path] = entry
      if entry?.holdsMarkers == true { running.unpublished.insert(path) }
    }
    if order.isMarker(path) && order.obstacle(to: path, among: running.unpublished) != nil {
      comeBack()
    } else if let file = tree.file(at: path) {
      let isCopy = !order.isMarker(path) && entry?.renamedFrom.map { isPublished(file, as: $0) } ?? false
      if failing {
        running.failed.insert(path)
        // The answer to a request may be lost after it was carried out.
        if file.version.isMultiple(of: 2) && !order.isMarker(path) { bucket[path] = file }
        comeBack()
      } else if order.isMarker(path) && isHeldByGate(path, running) {
        comeBack()
      } else {
        if order.isMarker(path) { checkMarker(path, file, passing: Set(running.absent)) }
        requests.append("\(isCopy ? "CopyObject" : "PutObject") \(path)")
        bucket[path] = isCopy ? entry?.renamedFrom.flatMap { bucket[$0] } : file
        ledger[path] = file
      }
    } else {
      running.absent.append(path)
    }
    pass = running
  }

  private func isPublished(_ file: ModelTree.File, as origin: RelativePath) -> Bool {
    guard let known = ledger[origin], known.inode == file.inode, known.version == file.version else {
      return false
    }
    return bucket[origin]?.version == known.version
  }

  /// As MarkerGate: with the marker's bytes in hand, everything that happened until now is drawn in.
  private mutating func isHeldByGate(_ marker: RelativePath, _ running: RunningPass) -> Bool {
    deliver(.max)
    let dirty = schedule.dirty
    if dirty.rescans.keys.contains(where: marker.isWithin) { return true }
    let isRewritten = dirty.entries[marker] != nil
    if running.isFromComparison && isRewritten { return true }
    guard isRewritten || running.isFromComparison else { return false }
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
    if !running.failed.isEmpty {
      for path in running.absent { running.back.entries[path] = running.batch.entries[path] }
      running.back.goneDirectories = running.batch.goneDirectories
    } else if failing {
      running.failed.formUnion(running.absent)
      running.failed.formUnion(running.batch.goneDirectories.keys)
      for path in running.absent { running.back.entries[path] = running.batch.entries[path] }
      running.back.goneDirectories = running.batch.goneDirectories
    } else if !running.isEntry {
      if !running.absent.isEmpty || !running.batch.goneDirectories.isEmpty { deliver(.max) }
      let origins = running.batch.origins(
        schedule.dirty.origins.union(running.back.entries.values.compactMap(\.origin)), absent: running.absent
      )
      let below = bucket.keys.filter { path in
        // As a listing of the keys that begin with `directory/`: the object of its own name is not among them.
        running.batch.goneDirectories.keys.contains { path.isWithin($0) && path != $0 }
      }
      for path in running.absent where origins.contains(path) {
        running.back.entries[path] = running.batch.entries[path]
      }
      for path in below where origins.contains(path) && running.back.entries[path] == nil {
        running.back.entries[path] = DirtyEntry(writing: .unknown, firstChange: now, lastChange: now)
      }
      let gone = (running.absent + below).filter { !origins.contains($0) && tree.file(at: $0) == nil }
      requests += running.batch.goneDirectories.map { _ in "ListObjectsV2" }
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
    pass = nil
    left = [:]
    // The watch may be late, but not from one pass to the next.
    deliver(.max)
    if running.isEntry {
      schedule.adopt(running.back, at: now)
    } else {
      schedule.finish(unpublished: running.back, failed: running.failed, at: now)
    }
  }
}
