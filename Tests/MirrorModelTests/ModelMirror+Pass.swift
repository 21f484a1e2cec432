import MirrorModel

// A pass: the plan's actions are carried out on the model's bucket.
extension ModelMirror {
  /// As `UploadLane.carryOut`.
  mutating func begin(_ trigger: UploadSchedule.Trigger) {
    lookForWriters(before: trigger)
    guard let next = schedule.begin(trigger, at: now) else { return }
    schedule.note(aliases.pollLinks(), at: now)
    var batch = next.batch
    var last = batch
    let waiting = Set(schedule.dirty.entries.keys)
    let flying = Set(schedule.dirty.inFlight.keys)
    let instant = now
    let links = withAliases { [symlinks] rules in
      switch symlinks {
      case .followed: rules.resolveLinks(in: &batch)
      case .pointers: rules.resolvePointers(in: &batch)
      }
      last = batch
      return rules.lookBehindLinks(of: &last, at: instant)
    }
    var found: [RelativePath: DirtyEntry] = [:]
    for (directory, reason) in batch.rescans where reason != .followedLink || links.contains(directory) {
      requests.append("ListObjectsV2")
      found.merge(survey(directory, because: reason)) { first, _ in first }
    }
    var gated = DirtySet.Batch(entries: found)
    withAliases { $0.resolvePointers(in: &gated) }
    found = gated.entries
    last.entries.merge(found.filter { order.isMarker($0.key) || $0.value.pointsTo != nil }) { watched, _ in
      watched
    }
    let closed = withAliases {
      $0.addFurtherNames(
        to: &last, compared: Set(batch.rescans.keys), at: instant, isWaiting: waiting.contains,
        isInFlight: flying.contains)
    }
    withAliases {
      $0.addPointers(to: &last, hasCompared: !batch.rescans.isEmpty, at: instant) { waiting.contains($0) }
    }
    schedule.noteClosedElsewhere(closed, at: now)
    schedule.noteTaken(last.entries.filter { batch.entries[$0.key] == nil })
    last.entries.merge(found) { watched, _ in watched }
    var kept: [RelativePath: DirtyEntry] = [:]
    for path in schedule.dirty.inFlight.keys { kept[path] = last.entries.removeValue(forKey: path) }
    var surroundings = next.surroundings
    withAliases { $0.addFurtherNames(to: &surroundings, of: last) }
    surroundings.withdrawals = withdrawals(from: last, flying: surroundings.inFlight.keys)
    surroundings.note(markersOf: last, order) { [tree] in tree.file(at: $0).map { FileStamp($0) } }
    var plan = PassPlan(last, order: order, removal: .everything, within: surroundings)
    plan.note(large: Self.large(of: plan))
    pass = RunningPass(
      plan: plan, isFromComparison: !batch.rescans.isEmpty, takesSnapshots: trigger == .drain, kept: kept)
  }

  /// Files of these names go in parts.
  static func large(of plan: PassPlan) -> Set<RelativePath> {
    Set(plan.unmeasured.filter { ["b", "c"].contains($0.name) })
  }

  mutating func withAliases<Value>(_ body: (inout ModelAliases) -> Value) -> Value {
    var rules = ModelAliases(table: aliases, tree: tree, ledger: ledger)
    aliases = AliasTable()
    defer { aliases = rules.table }
    return body(&rules)
  }

  mutating func lookForWriters(before trigger: UploadSchedule.Trigger) {
    let unclosed = schedule.unclosed(for: trigger, at: now)
    schedule.noteWritersGone(unclosed.filter { tree.file(at: $0.key)?.isOpen != true })
  }

  mutating func survey(_ directory: RelativePath, because reason: RescanReason? = nil) -> [RelativePath:
    DirtyEntry]
  {
    let files = tree.files(below: directory).filter { !filter.excludes($0.key, .file) }
    let links = tree.links(below: directory)
    withAliases { [symlinks, tree] rules in
      for link in links {
        if case .file(let target, let stamp) = rules.pointing(of: link) {
          rules.table.note(pointer: link, leadingTo: target, stamp, at: rules.wallClock)
        } else if symlinks == .pointers {
          rules.table.note(pointer: link, leadingTo: nil, nil, at: rules.wallClock)
        } else {
          rules.table.note(link: link, leadingTo: rules.sight(behind: link), at: rules.wallClock)
        }
      }
      let meeting: AliasTable.Meeting = directory.isRoot ? .comparisonOfEverything : .other
      for (path, file) in files where file.linkCount > 1 && !tree.isPointer(path) {
        rules.table.note(path, FileStamp(file), metBy: meeting, at: rules.wallClock)
      }
    }
    return files.filter { bucket[$0.key]?.version != $0.value.version }
      .filter { schedule.dirty.inFlight[$0.key] == nil }
      .mapValues { _ in DirtyEntry(foundBecauseOf: reason, at: now) }
  }

  /// What begins is read at once; it is on S3 only when it ends, some steps later.
  mutating func step(failing: Bool) {
    guard var running = pass else { return }
    let turn = running.underWay.firstIndex { !isWaiting($0, for: running.plan) }
    // A few are under way at one time, besides those that wait for their units.
    if running.underWay.count(where: { !isWaiting($0, for: running.plan) }) < 2, running.plan.hasReady,
      case .publish(let path) = running.plan.next()
    {
      var publication = begin(
        path, knownAs: running.plan.entry(of: path), isFromComparison: running.isFromComparison,
        takesSnapshots: running.takesSnapshots, passing: running.absent)
      publication.markersOver = running.plan.markersToWithdraw(before: path)
      running.underWay.append(publication)
    } else if let turn {
      if !failing, stages(&running.underWay[turn], of: &running.plan) {
        pass = running
        return
      }
      let publication = running.underWay.remove(at: turn)
      let fact = end(
        publication, failing: failing, passing: running.absent, takingSnapshots: running.takesSnapshots)
      if fact == .absent { running.absent.insert(publication.path) }
      if fact == .failed { running.failed.insert(publication.path) }
      _ = running.plan.note(fact, of: publication.path, at: now)
    } else {
      if !running.underWay.isEmpty { faults.append("a unit never opens: \(running.underWay.map(\.path))") }
      finish(&running, failing: failing)
      return
    }
    pass = running
  }

  private func isWaiting(_ publication: Publication, for plan: PassPlan) -> Bool {
    publication.isStaged && !plan.mayAppear(publication.path)
  }

  /// Sends the bytes of a large file, if that is still to be done.
  private func stages(_ publication: inout Publication, of plan: inout PassPlan) -> Bool {
    guard publication.file != nil, plan.isStaged(publication.path), !publication.isStaged else {
      return false
    }
    publication.isStaged = true
    plan.note(staged: publication.path)
    return true
  }

  mutating func begin(
    _ path: RelativePath, knownAs entry: DirtyEntry?, isFromComparison: Bool, takesSnapshots: Bool,
    passing gone: Set<RelativePath>
  ) -> Publication {
    let file = tree.file(at: path)
    let isMarker = order.isMarker(path)
    let mayKnowMarks = schedule.hasMetMarks
    let target = tree.pointee(of: path)
    let isHeld =
      file != nil
      && (isUnderNewMark(path) || (isMarker && isHeldByGate(path, isFromComparison))
        || isHeldByTarget(file, target))
    if let file, isMarker, entry?.purpose == .recheck, bucket[path]?.version == file.version {
      return Publication(path: path, entry: entry, file: nil, isNeedless: true, gate: .passed)
    }
    if isMarker, target == nil, let file, !isHeld, !file.isOpen || takesSnapshots {
      checkMarker(path, file, passing: gone)
    }
    var publication = Publication(
      path: path, entry: entry, file: file,
      isNeedless: file == nil && !tree.isAbsent(forObjectAt: path) && tree.node(at: path) != nil,
      target: target, gate: isHeld ? .held : .passed)
    publication.isBriefMark =
      file == nil && entry?.isBriefMark == true && !publication.isNeedless
    // Before the first mark of a run is told of, nothing is held against any.
    if let file, mayKnowMarks { publication.marks = marks(for: path, before: file) }
    return publication
  }

  /// As `MarkerGate.check(_:pointingTo:)`.
  private mutating func isHeldByTarget(_ file: ModelTree.File?, _ target: RelativePath?) -> Bool {
    guard let file, let target, !order.isMarker(target) else { return false }
    deliver(.max)
    return schedule.dirty.holdsBack(
      pointerTo: target, isPublished: isPublished(file, as: target), otherNames: aliases.others(of: target))
  }

  private mutating func isUnderNewMark(_ path: RelativePath) -> Bool {
    guard schedule.hasMetMarks, !order.marks.contains(path) else { return false }
    deliver(.max)
    return schedule.isUnderWaitingMark(path)
  }

  /// The in-progress marks that were there before this content.
  private func marks(for path: RelativePath, before file: ModelTree.File) -> [RelativePath: ModelTree.ID] {
    tree.files().filter { mark, content in
      order.marks.contains(mark) && !tree.isPointer(mark) && order.marks.speaks(mark, for: path)
        && content.linkCount == 1
        && content.version < file.version && content.moved < file.version && !filter.excludes(mark, .file)
    }.mapValues(\.inode)
  }

  /// - Parameter gone: data that were not at their place when the pass came by.
  mutating func end(
    _ publication: Publication, failing: Bool, passing gone: Set<RelativePath>, takingSnapshots: Bool = false
  ) -> PassPlan.Publication {
    let (path, entry) = (publication.path, publication.entry)
    if publication.isBriefMark { return show(path, failing: failing) }
    guard let file = publication.file else { return publication.isNeedless ? .needless : .absent }
    if publication.gate == .held { return .waiting(isOpen: false) }
    if failing {
      // The answer to a request may be lost after it was carried out.
      if file.version.isMultiple(of: 2) && !order.isMarker(path) {
        withdraw(publication.markersOver, before: path, file, pointingTo: publication.target)
        bucket[path] = file
        writers.publish(path, version: file.version, .lost)
      }
      return .failed
    }
    let origin = publication.target ?? entry?.renamedFrom
    let isCopy = !order.isMarker(path) && origin.map { isPublished(file, as: $0) } ?? false
    // A writer shows before the bytes are read and after that.
    let isOpen =
      !isCopy && (file.isOpen || tree.file(at: path).map { $0.inode == file.inode && $0.isOpen } ?? false)
    if isOpen && !takingSnapshots { return .waiting(isOpen: true) }
    for (mark, inode) in publication.marks
    where tree.file(at: mark)?.inode == inode && bucket[mark] == nil && !isForgetful {
      faults.append("\(path) changes ahead of \(mark)")
    }
    let source = isCopy ? origin : nil
    if order.isMarker(path) { publishReceipts(below: path.parent) }
    withdraw(
      publication.markersOver.filter { $0 != source }, before: path, file, copyOf: source,
      pointingTo: publication.target)
    requests.append("\(isCopy ? "CopyObject" : "PutObject") \(path)")
    bucket[path] = isCopy ? origin.flatMap { bucket[$0] } : file
    if let target = publication.target, !isForgetful { checkPointer(path, to: target, file) }
    writers.publish(path, version: file.version, .received)
    ledger[path] = Record(file: file, isSnapshot: isOpen)
    receipts?.schedule.note(published: path)
    return .published(isOpen ? .snapshot : .latest)
  }

  /// As `FilePublisher.publishBriefMark`.
  private mutating func show(_ mark: RelativePath, failing: Bool) -> PassPlan.Publication {
    if failing { return .failed }
    let number = tree.number()
    let object = ModelTree.File(inode: number, name: number, version: number)
    requests.append("PutObject \(mark)")
    bucket[mark] = object
    writers.publish(mark, version: object.version, .received)
    ledger[mark] = Record(file: object, isSnapshot: true)
    return .shown
  }

  mutating func detach() {
    guard var running = pass, !running.isEntry, !running.underWay.isEmpty, !running.plan.hasReady else {
      return
    }
    let paths = running.plan.detach()
    schedule.depart(paths)
    flights.append(Flight(plan: running.plan, underWay: running.underWay, paths: Set(paths.keys)))
    running.underWay = []
    pass = running
  }

  mutating func land(failing: Bool) {
    guard var flight = flights.first else { return }
    flights.removeFirst()
    if flight.plan.hasReady, case .publish(let path) = flight.plan.next() {
      var publication = begin(
        path, knownAs: flight.plan.entry(of: path), isFromComparison: false, takesSnapshots: false,
        passing: [])
      publication.markersOver = flight.plan.markersToWithdraw(before: path)
      flight.underWay.append(publication)
    } else if let turn = flight.underWay.firstIndex(where: { !isWaiting($0, for: flight.plan) }) {
      if failing || !stages(&flight.underWay[turn], of: &flight.plan) {
        let publication = flight.underWay.remove(at: turn)
        land(publication, as: end(publication, failing: failing, passing: []))
        flight.plan.noteEnded(publication.path)
        flight.paths.remove(publication.path)
      }
    } else {
      faults.append("a unit never opens: \(flight.underWay.map(\.path))")
      return
    }
    if !flight.underWay.isEmpty || flight.plan.hasReady {
      flights.append(flight)
    } else if !flight.paths.isEmpty {
      faults.append("never landed: \(flight.paths)")
    }
  }

  private mutating func land(_ publication: Publication, as fact: PassPlan.Publication) {
    let path = publication.path
    var plan = PassPlan(
      DirtySet.Batch(entries: publication.entry.map { [path: $0] } ?? [:]), order: order, removal: .later)
    while case .publish(let path) = plan.next() { _ = plan.note(fact, of: path, at: now) }
    deliver(.max)
    schedule.land(
      path, back: plan.result.unpublished.entries[path], failure: fact == .failed ? .unknown : nil,
      isAnswered: fact != .failed, at: now)
    schedule.adopt(DirtySet.Batch(entries: takeWithdrawn()), at: now)
    publishReceipts()
  }

  mutating func finish(_ running: inout RunningPass, failing: Bool) {
    carryOutDeletes(of: &running, failing: failing)
    var result = running.plan.result
    result.unpublished.entries.merge(running.kept) { $1 }
    publishReceipts(isFailing: failing)
    if !failing { removeReceipts() }
    result.unpublished.entries.merge(takeWithdrawn()) { earlier, _ in earlier }
    pass = nil
    left = [:]
    // The watch may be late, but not from one pass to the next.
    deliver(.max)
    if running.isEntry {
      schedule.adopt(result.unpublished, at: now)
    } else {
      schedule.finish(unpublished: result.unpublished, failed: running.failed, at: now)
    }
    schedule.note(aliases.takeFreshLinks(), at: now)
  }

  mutating func carryOutDeletes(of running: inout RunningPass, failing: Bool) {
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
        running.plan.note(
          listing: objects.map { ($0, RemoteObject(byteCount: 0, etag: "", lastModified: 0)) }, of: directory)
      case .delete(let deletion):
        let (gone, kept) = deletion.paths.partitioned { tree.isAbsent(forObjectAt: $0) }
        sheltered.formUnion(kept.filter { tree.linkAbove($0)?.1.inside != nil })
        if failing {
          running.failed.formUnion(gone)
          running.plan.note(deleted: [], kept: kept, withheld: [], failed: gone)
          continue
        }
        let (own, foreign) = gone.partitioned { path in
          bucket[path].map { writers.mayGo(path, $0) } ?? true
        }
        delete(own)
        running.plan.note(deleted: own, kept: kept, withheld: foreign, failed: [])
      }
    }
  }

  mutating func delete(_ gone: [RelativePath]) {
    // The look before the delete tells that there is nothing.
    for path in gone where bucket[path] == nil { ledger[path] = nil }
    let gone = gone.filter { bucket[$0] != nil }
    checkShown(before: gone)
    // Markers before what they name.
    for isMarker in [true, false] where gone.contains(where: { order.isMarker($0) == isMarker }) {
      requests.append("DeleteObjects")
    }
    let kept = Set(bucket.values.map(\.inode))
    for path in gone {
      if writers.foreign.contains(path) { faults.append("another writer's object \(path) is deleted") }
      writers.forget(path)
      bucket[path] = nil
      ledger[path] = nil
      receipts?.schedule.note(deleted: path)
    }
    checkVersions(of: kept)
  }
}
