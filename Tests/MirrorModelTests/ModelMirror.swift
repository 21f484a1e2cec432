import MirrorModel

/// A whole mirror without I/O: a model tree, its watch, the schedule, and passes that publish to a model bucket step
/// by step, so that the tree can change in the middle of a pass.
struct ModelMirror {
  /// A publication: what lay under the name when it began to be read.
  struct Publication {
    var path: RelativePath
    var entry: DirtyEntry?
    /// Nil where no file had the name.
    var file: ModelTree.File?
    /// Whether a directory or a link to none had the name.
    var isNeedless = false
    /// The file to which the name leads, if the name is a pointer.
    var target: RelativePath?
    /// Whether an in-progress mark that has come and gone is published for a while.
    var isBriefMark = false
    /// With the bytes in hand, they may go.
    var gate: Gate
    /// In-progress marks that were there before the content.
    var marks: [RelativePath: ModelTree.ID] = [:]
    /// Removed from S3 before the object appears.
    var markersOver: [RelativePath] = []
    /// All bytes are on the server; it waits for its unit.
    var isStaged = false
  }

  /// What goes on without its pass: the plan says what of its units begins.
  struct Flight {
    var plan: PassPlan
    var underWay: [Publication]
    var paths: Set<RelativePath>
  }

  enum Gate {
    case passed
    case held
  }

  struct RunningPass {
    var plan: PassPlan
    var isFromComparison: Bool
    var isEntry = false
    var takesSnapshots = false
    /// Comes back because its publication is still in flight.
    var kept: [RelativePath: DirtyEntry] = [:]
    var underWay: [Publication] = []
    var failed: Set<RelativePath> = []
    /// Data that were not at their place when the pass came by.
    var absent: Set<RelativePath> = []
  }

  /// What was published under a path.
  struct Record {
    var file: ModelTree.File
    var isSnapshot = false
  }

  var tree = ModelTree()
  var bucket: [RelativePath: ModelTree.File] = [:]
  /// What went wrong, in words.
  var faults: [String] = []
  /// What was asked of the bucket, as `FilePublisher` and `RemoteRemover` ask.
  var requests: [String] = []
  var watch: ModelWatch
  let filter: PathFilter
  var schedule: UploadSchedule
  let order: CommitOrder = {
    var order = CommitOrder { $0.name == "latest" }
    // A pattern of this form is one.
    if let marks = try? ProgressMarks(["*-unfinished"]) { order.marks = marks }
    return order
  }()
  var ledger: [RelativePath: Record] = [:]
  /// Markers that were removed from S3 before data under them.
  var withdrawn: Set<RelativePath> = []
  var aliases = AliasTable()
  var writers = ModelWriters()
  var pass: RunningPass?
  var flights: [Flight] = []
  var now = Instant(nanoseconds: 0)
  /// Entries were dropped, or events lost, and with them who was renamed.
  var isForgetful: Bool
  /// Files of whose renames the watch cannot tell in full, or not in time.
  var untraced: Set<ModelTree.ID> = []
  /// Files that were renamed since everything was last told.
  var untold: Set<ModelTree.ID> = []
  /// Objects that stayed because a pointer had the name of a directory above them. The comparison at exit deletes them.
  var sheltered: Set<RelativePath> = []
  /// How many actions there were, and the last that pointed a link or removed a name.
  var actionCount = 0
  var pointed: [RelativePath: Int] = [:]
  var removed: [RelativePath: Int] = [:]
  /// The names that files left while a pass is in hand.
  var left: [RelativePath: ModelTree.ID] = [:]

  /// What becomes of symbolic links.
  enum Symlinks {
    case followed
    case pointers
  }

  let symlinks: Symlinks
  /// Nil if no receipts are published.
  var receipts: ModelReceipts?

  init(
    capacity: Int = DirtySet.defaultCapacity, filter: PathFilter = .everything,
    symlinks: Symlinks = .followed, before actions: [Action] = [], receipts: ModelReceipts? = nil
  ) {
    self.receipts = receipts
    self.filter = filter
    self.symlinks = symlinks
    watch = ModelWatch(filter: filter)
    isForgetful = capacity < DirtySet.defaultCapacity
    for action in actions { Self.change(&tree, action) }
    tree.loseRecords()
    schedule = UploadSchedule(
      policy: .init(interval: .seconds(1), openFileGrace: .seconds(2), commitOrder: order),
      dirty: DirtySet(capacity: capacity),
      startingAt: now)
    watch.begin(tree)
    var batch = DirtySet.Batch(entries: survey(.root))
    withAliases { $0.resolvePointers(in: &batch) }
    // What the comparison finds open has an age of which no event tells.
    for path in batch.entries.keys {
      batch.entries[path]?.unwatched = tree.file(at: path).map {
        UnwatchedTime(since: Int64($0.inode), until: Int64(tree.number()))
      }
    }
    var surroundings = PassPlan.Surroundings()
    surroundings.note(markersOf: batch, order) { [tree] in tree.file(at: $0).map { FileStamp($0) } }
    var plan = PassPlan(batch, order: order, removal: .never, within: surroundings)
    plan.note(large: Self.large(of: plan))
    pass = RunningPass(plan: plan, isFromComparison: true, isEntry: true)
  }

  mutating func carryOut(_ action: Action) {
    now += .milliseconds(300)
    let before = tree.files()
    let going = action.removal.map { gone in before.keys.filter { $0 == gone || $0.isWithin(gone) } } ?? []
    Self.change(&tree, action)
    traceRenames(from: before, by: action)
    actionCount += 1
    switch action {
    case .point(let path, let target) where tree.directTarget(of: path) == target: pointed[path] = actionCount
    case .remove: for path in going { removed[path] = actionCount }
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
    case .overwrite(let path, let content):
      bucket[path] = writers.overwrite(path, bucket[path], content)
    default: break
    }
  }

  static func change(_ tree: inout ModelTree, _ action: Action) {
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
    case .writeOpen(let path): tree.writeOpen(path)
    case .link(let from, let to): tree.link(from, to)
    case .symlink(let path, let target): tree.symlink(path, to: target)
    case .point(let path, let target): tree.point(path, at: target)
    case .writeOutside(let name): tree.writeOutside(name)
    case .removeOutside(let name): tree.removeOutside(name)
    case .deliver, .overflow, .begin, .step, .detach, .land, .overwrite: break
    }
  }

  /// Has all files closed that are open for writing.
  mutating func closeAll() { tree.closeAll() }

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
    let dirty = schedule.dirty
    if !dirty.entries.isEmpty || !dirty.goneDirectories.isEmpty
      || dirty.rescans.contains(where: { !$0.value.isStanding })
    {
      faults.append("never clean: \(dirty.entries.keys.sorted())")
    }
  }

  /// What the drained bucket has that the tree has not, and the other way round.
  func differences(ignoringExtras: Bool) -> [String] {
    let files = tree.files()
    // Of one name the last writer wins, and what another writer put there stays.
    let wrong = files.filter { bucket[$0.key]?.version != $0.value.version }.keys
      .filter { !writers.foreign.contains($0) }.sorted()
    let extras =
      ignoringExtras
      ? []
      : bucket.keys.filter {
        tree.isAbsent(forObjectAt: $0) && !tree.isBehindDirectoryLink($0) && !writers.foreign.contains($0)
          && !sheltered.contains($0)
      }.sorted()
    return wrong.map { "\($0) is not what the tree has" } + extras.map { "\($0) is left behind" }
  }

  mutating func deliver(_ count: Int) {
    let records = tree.takeRecords(min(count, tree.records.count))
    for record in records { watch.translate(record, tree) }
    if tree.records.isEmpty { untold = [] }
    let events = watch.takeEvents()
    schedule.note(withAliases { $0.told(events) }, at: now)
  }

  func isPublished(_ file: ModelTree.File, as origin: RelativePath) -> Bool {
    guard let known = ledger[origin], !known.isSnapshot, known.file.inode == file.inode,
      known.file.version == file.version
    else { return false }
    return bucket[origin]?.version == known.file.version
  }

  /// With the marker's bytes in hand, everything that happened until now is drawn in.
  mutating func isHeldByGate(_ marker: RelativePath, _ isFromComparison: Bool) -> Bool {
    deliver(.max)
    let aliases = aliases
    return schedule.dirty.holdsBack(
      marker, order: order, isFromComparison ? .directory : .marker, otherNames: { aliases.others(of: $0) })
  }

  /// Everything that the marker names and that is still there must be on S3.
  ///
  /// - Parameter gone: data that were not at their place when the pass came by; whoever moves them there and back
  ///   while the marker stands has broken the promise himself.
  mutating func checkMarker(
    _ path: RelativePath, _ marker: ModelTree.File, passing gone: Set<RelativePath>
  ) {
    for (name, named) in marker.names {
      let place = path.parent.appending(name.string)
      guard !gone.contains(place), let present = tree.file(at: place), present.inode == named.inode,
        present.moved == named.moved || present.moved == marker.moved
      else { continue }
      if writers.foreign.contains(place) { continue }
      guard let object = bucket[place], object.inode == named.inode, object.version >= named.version else {
        faults.append("\(path) is published ahead of \(place)")
        continue
      }
    }
  }

  /// A pointer never shows a version that its target's own object does not have.
  mutating func checkPointer(_ path: RelativePath, to target: RelativePath, _ file: ModelTree.File) {
    guard !order.isMarker(path), !order.isMarker(target), !filter.excludes(target, .file),
      !writers.foreign.contains(target), tree.name(at: target)?.inode == file.inode
    else { return }
    guard let object = bucket[target], object.inode == file.inode, object.version >= file.version else {
      faults.append("\(path) is ahead of its target \(target)")
      return
    }
  }

  /// The object that a pointer showed last stays until the pointer shows another one, if the pointer was changed before
  /// the file was removed.
  mutating func checkShown(before deletions: [RelativePath]) {
    guard !isForgetful else { return }
    for path in deletions where tree.node(at: path) == nil {
      guard let removal = removed[path] else { continue }
      let alike = bucket.filter { $0.value.version == bucket[path]?.version && !deletions.contains($0.key) }
      // The file has other names.
      if alike.keys.contains(where: { !tree.isPointer($0) }) { continue }
      for link in alike.keys {
        guard let change = pointed[link], change < removal, tree.isPointer(link),
          let target = tree.directTarget(of: link), tree.file(at: target) != nil
        else { continue }
        faults.append("\(path) is deleted while \(link) shows it")
      }
    }
  }

  /// A file of two renames in one go is met where the second led, half of an exchange by a look that tells of no rename,
  /// and what a pass publishes under a name that changed hands meanwhile may be either file.
  mutating func traceRenames(from before: [RelativePath: ModelTree.File], by action: Action) {
    let places = Dictionary(before.map { ($0.value.name, $0.key) }, uniquingKeysWith: { $1 })
    for (path, file) in tree.files() where tree.linkAbove(path) == nil {
      if file.linkCount > 1 { untraced.insert(file.inode) }
      guard let old = places[file.name], old != path else { continue }
      if case .exchange = action { untraced.insert(file.inode) }
      if !untold.insert(file.inode).inserted { untraced.insert(file.inode) }
      if pass != nil { left[old] = file.inode }
    }
    for (path, inode) in left where tree.file(at: path) != nil { untraced.insert(inode) }
  }

  /// A file that is there and had an object must have one after deletes, under whatever name.
  mutating func checkVersions(of inodes: Set<ModelTree.ID>) {
    guard !isForgetful else { return }
    let left = Set(bucket.values.map(\.inode))
    for (path, file) in tree.files()
    where inodes.subtracting(left).subtracting(untraced).contains(file.inode)
      && !filter.excludes(path, .file) && tree.name(at: path) != nil && !writers.foreign.contains(path)
    {
      faults.append("the last object of \(path) is deleted before it is published")
    }
  }
}
