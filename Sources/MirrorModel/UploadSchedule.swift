/// When one upload publishes, and what: the whole scheduling logic as a value. Events, clock readings and
/// outcomes go in; passes and wake-up times come out.
package struct UploadSchedule: Sendable {
  struct Failure: Sendable {
    var count: Int
    var notBefore: Instant
    /// The service did not answer. The path itself has no fault.
    var isOfService = false
  }

  package let policy: Policy
  package internal(set) var dirty: DirtySet
  package private(set) var isRunning = false
  /// Passes that were started.
  package private(set) var passCount = 0
  var nextTick: Instant?
  /// With interval 0: no path is ready before this instant. The value is kept so that a storm of events does
  /// not read every entry for each event.
  private var nothingReadyBefore: Instant?
  var failures: [RelativePath: Failure] = [:]
  /// The service did not answer the last requests. Every waiting file would fail too, each after several
  /// attempts. So one path is tried at this time, and the next later, until the service answers. Then
  /// everything is due at once, whatever its back-off.
  var nextProbe: Instant?
  /// Paths that were tried to find out whether the service answers, and have not ended.
  var probes: Set<RelativePath> = []
  /// Paths in flight that have had no answer since the last answer of the service. A single one may have a
  /// fault of its own, so it shows nothing about the service.
  private var unanswered: Set<RelativePath> = []
  /// The new directories that the last tick left because a program is writing them, and when to check them
  /// again.
  var held = UnitHold()
  var unitLook: Instant?
  /// Units of which the last flight has ended since a pass began: what waited for these goes at the next look.
  var landedUnits: Set<RelativePath> = []
  /// Whether the watch has reported an in-progress mark in this run. From then on, data may wait for such
  /// marks.
  package private(set) var hasMetMarks = false
  /// The service answers again. So waiting paths are due before the next tick.
  var isRecovered = false

  /// The back-off after a path's first failure. Each further failure doubles it.
  package static let firstBackOff: Duration = .seconds(1)
  /// The longest back-off of a path. The end of an outage ends the back-offs that the outage caused.
  package static let longestBackOff: Duration = .seconds(120)

  package init(policy: Policy, dirty: DirtySet = DirtySet(), startingAt now: Instant) {
    self.policy = policy
    self.dirty = dirty
    if let interval = policy.interval, interval > .zero { nextTick = now + interval }
    // The comparison at entry publishes what it finds. It ends with `adopt`.
    self.dirty.noteComparing(.root)
    noteReadiness()
  }

  // MARK: In

  package mutating func note(_ events: some Sequence<WatchEvent>, at now: Instant) {
    let directoriesBefore = dirty.rescans.count + dirty.goneDirectories.count
    // The kernel keeps the order of events (inotify(7)). A delete waits for earlier changes, but not for
    // later ones. So events that were read together get different instants.
    var instant = now
    for event in events {
      let mark = hasMetMarks ? deletedMark(by: event) : nil
      dirty.note(event, at: instant)
      if let mark { dirty.noteBriefMark(mark.key, knownAs: mark.value, at: instant) }
      instant += .nanoseconds(1)
      if !hasMetMarks, let path = event.newFile { hasMetMarks = policy.commitOrder.marks.contains(path) }
    }
    guard policy.interval == .zero else { return }
    let isDirectoryNew = dirty.rescans.count + dirty.goneDirectories.count != directoriesBefore
    let ready = isDirectoryNew ? now : now + policy.settle
    nothingReadyBefore = min(nothingReadyBefore ?? ready, ready)
  }

  /// The in-progress mark that an event reports as deleted, if it is dirty.
  private func deletedMark(by event: WatchEvent) -> (key: RelativePath, value: DirtyEntry)? {
    guard case .deleted(let path) = event, policy.commitOrder.marks.contains(path) else { return nil }
    return dirty.entries[path].map { (path, $0) }
  }

  package mutating func noteRootReturned(at now: Instant) {
    dirty.noteRootReturned(at: now)
    noteReadiness()
  }

  /// Makes dirty the paths that the comparison at entry could not publish.
  package mutating func adopt(_ unpublished: DirtySet.Batch, at now: Instant) {
    dirty.giveBack(unpublished, at: now)
    noteReadiness()
  }

  /// The paths that count as open and that a pass would leave out. The caller checks whether they have
  /// writers, and reports those without one to `noteWritersGone`. The check is needed because truncate(2) by
  /// path writes without an open descriptor, so no close follows.
  package mutating func unclosed(for trigger: Trigger, at now: Instant) -> [RelativePath: DirtyEntry] {
    guard !isRunning, !dirty.isRootLost, trigger != .tick || isTickDue(at: now) else { return [:] }
    let readiness = Readiness(policy: policy, failures: failures)
    var found: [RelativePath: DirtyEntry] = [:]
    for (path, entry) in dirty.entries {
      guard entry.isOpen, !readiness.isReady(path, entry, for: trigger, at: now) else { continue }
      found[path] = entry
      found[path]?.writer.noteProbe(at: now)
    }
    guard !found.isEmpty else { return [:] }
    dirty.entries.merge(found) { _, probed in probed }
    noteReadiness()
    return found
  }

  /// Treats files that are open under these names as closed: they were closed under another name. A name that
  /// no event reports as open, such as a new link, learns nothing from that close. Its file is published
  /// under the other name, from which it can be copied.
  package mutating func noteClosedElsewhere(_ paths: [RelativePath], at now: Instant) {
    note(paths.filter { dirty.entries[$0]?.isOpen == true }.map { .closed($0) }, at: now)
  }

  /// Treats open files as closed if no writer was found and no event came since.
  package mutating func noteWritersGone(_ gone: [RelativePath: DirtyEntry]) {
    guard !gone.isEmpty else { return }
    for (path, entry) in gone { dirty.noteWriterGone(path, knownAs: entry) }
    noteReadiness()
  }

  /// Starts a pass if one is due. The caller owns the batch until `finish`.
  package mutating func begin(_ trigger: Trigger, at now: Instant) -> Pass? {
    guard !isRunning else { return nil }
    var isOfUnits = false
    if trigger == .tick {
      guard isTickDue(at: now) else { return nil }
      isOfUnits = isUnitLook(at: now)
      if let interval = policy.interval, interval > .zero { advanceTick(past: now, by: interval) }
    }
    guard !dirty.isRootLost else { return nil }
    if trigger == .tick, nextProbe != nil, let probe = beginProbe(at: now) { return probe }
    isRecovered = false
    let released = lookAtUnits(for: trigger, at: now)
    let readiness = Readiness(policy: policy, failures: failures)
    let left = namesLeft(by: trigger, readiness, at: now)
    let takesUnsettled = trigger == .tick && hasReadyMarker(at: now)
    var newest: Instant?
    let batch = dirty.take { [held, order = policy.commitOrder] path, entry in
      if held.contains(path) { return false }
      // A marker further up may have waited for the unit.
      if isOfUnits, !order.isMarker(path), !path.ancestors.contains(where: released.contains) { return false }
      let isLeft = entry.writer == .unknown && left.contains(path)
      let isNamed = takesUnsettled && readiness.isWhole(path, entry, at: now)
      guard isLeft || isNamed || readiness.isReady(path, entry, for: trigger, at: now) else { return false }
      newest = max(newest ?? entry.lastChange, entry.lastChange)
      return true
    } directories: { directory in
      if isOfUnits { return false }
      // Deletes below the directory may wait for the marker. In passes of their own both would wait for ever.
      if takesUnsettled, readiness.hasNotFailed(directory) { return true }
      return trigger != .tick || readiness.endOfBackOff(directory).map { $0 <= now } ?? true
    }
    if !dirty.inFlight.isEmpty { dirty.recheckFlights(comparedBy: batch.rescans, at: now) }
    noteReadiness()
    // The time of the last change in a directory is unknown. A marker that is not ready yet may name the
    // files that the pass takes from it.
    let hasUnknownChanges =
      !batch.rescans.isEmpty || !batch.goneDirectories.isEmpty || !batch.withheldDeletes.isEmpty
    guard hasUnknownChanges else { return started(trigger, batch, newest: newest) }
    // Events that were noted together have instants of their own, the last of which may lie after this one.
    let latest = dirty.entries.values.lazy.map(\.lastChange).max()
    return started(trigger, batch, newest: max(latest ?? now, now))
  }

  mutating func started(_ trigger: Trigger, _ batch: DirtySet.Batch, newest: Instant?) -> Pass? {
    guard !batch.isEmpty else { return nil }
    isRunning = true
    passCount += 1
    return Pass(
      trigger: trigger, batch: batch, deferred: deferred(before: newest), stale: stale(before: newest),
      unwatched: dirty.entries.compactMapValues { $0.isOpen ? $0.unwatched : nil },
      inFlight: dirty.inFlight, departures: dirty.departures.filter { batch.goneDirectories[$0.key] != nil })
  }

  /// Records that the running pass publishes these paths besides its batch.
  package mutating func noteTaken(_ more: [RelativePath: DirtyEntry]) {
    dirty.noteTaken(more)
  }

  /// Ends a pass. The paths of `unpublished` stay dirty. Those in `failed` get a back-off; the others only
  /// changed during their publication and are tried again at the next tick.
  ///
  /// - Parameters:
  ///   - unreachable: the failed paths whose requests had no answer.
  ///   - service: what the pass learned about the service.
  package mutating func finish(
    unpublished: DirtySet.Batch, failed: Set<RelativePath>, unreachable: Set<RelativePath> = [],
    service: ServiceState = .unknown, at now: Instant
  ) {
    precondition(isRunning, "finish without begin")
    isRunning = false
    let tried = dirty.underWay
    dirty.giveBack(unpublished, at: now)
    failures = failures.filter { path, _ in
      if failed.contains(path) || dirty.inFlight[path] != nil { return true }
      // A path that was tried and published has no failure any more, whatever changed since.
      if tried.contains(path) { return unpublished.contains(path) }
      return dirty.entries[path] != nil || dirty.goneDirectories[path] != nil || dirty.rescans[path] != nil
    }
    for path in failed { noteFailure(of: path, isOfService: unreachable.contains(path), at: now) }
    probes.formIntersection(dirty.inFlight.keys)
    // A probe that is still in flight shows nothing yet.
    if service != .unknown || probes.isEmpty { note(service, besides: failed, at: now) }
    // With interval 0 no tick spaces the tries, so a path that changes during its publication would be tried
    // without pause.
    if policy.interval == .zero {
      for path in unpublished.paths where !failed.contains(path) {
        failures[path] = Failure(count: failures[path]?.count ?? 0, notBefore: now + policy.settle)
      }
    }
    noteReadiness()
  }

  private mutating func noteFailure(of path: RelativePath, isOfService: Bool, at now: Instant) {
    let count = (failures[path]?.count ?? 0) + 1
    let backOff = min(Self.firstBackOff * (1 << min(count - 1, 10)), Self.longestBackOff)
    failures[path] = Failure(count: count, notBefore: now + backOff, isOfService: isOfService)
  }

  /// Lets long publications continue after their pass ends. No pass takes their paths until `land`.
  package mutating func depart(_ flights: [RelativePath: DirtyEntry]) {
    dirty.depart(flights)
  }

  /// Ends a publication that has outlived its pass.
  ///
  /// - Parameters:
  ///   - back: the entry that remains to be done; nil if the path was published.
  ///   - failure: what the failure shows about the service; nil if the publication did not fail.
  ///   - isAnswered: whether the service carried out a request.
  package mutating func land(
    _ path: RelativePath, back: DirtyEntry?, failure: ServiceState? = nil, isAnswered: Bool, at now: Instant
  ) {
    let unit = dirty.inFlight[path]?.unit
    dirty.land(path, back: back, at: now)
    if failure == nil { noteLanded(path, of: unit, at: now) }
    probes.remove(path)
    failures[path] = failure == nil ? nil : failures[path]
    if let failure {
      noteFailure(of: path, isOfService: failure == .unreachable, at: now)
      if failure == .unreachable { unanswered.insert(path) }
    } else if back != nil, policy.interval == .zero {
      failures[path] = Failure(count: 0, notBefore: now + policy.settle)
    }
    if isAnswered {
      note(.answering, besides: [], at: now)
    } else if unanswered.count > 1 {
      note(.unreachable, besides: [path], at: now)
    }
    noteReadiness()
  }

  private mutating func note(_ service: ServiceState, besides failed: Set<RelativePath>, at now: Instant) {
    let wasOut = nextProbe != nil
    nextProbe = service == .unreachable ? now + Self.probePause : nil
    guard service == .answering else { return }
    unanswered = []
    for (path, failure) in failures where failure.isOfService && !failed.contains(path) {
      failures[path]?.notBefore = now
    }
    isRecovered = wasOut
  }

  // MARK: Out

  /// When to call `begin(.tick)` next: at the interval's tick, dirty or not, or with interval 0 when the
  /// first change is ready. Nil while a pass runs, and if only the exit publishes.
  package func wakeTime(at now: Instant) -> Instant? {
    guard !isRunning, let interval = policy.interval else { return nil }
    if let nextProbe, !dirty.isRootLost { return freshTime.map { min($0, nextProbe) } ?? nextProbe }
    guard interval == .zero else {
      return isRecovered ? now : [nextTick, dirty.isRootLost ? nil : unitLook].compactMap { $0 }.min()
    }
    return dirty.isRootLost ? nil : nothingReadyBefore
  }

  /// When a path becomes due that the running pass does not take; nil if there is none.
  package mutating func dueTime(at now: Instant) -> Instant? {
    guard isRunning, !dirty.isRootLost, let interval = policy.interval else { return nil }
    if nextProbe != nil { return freshTime }
    if interval == .zero {
      if let ready = nothingReadyBefore, ready <= now { noteReadiness() }
      return nothingReadyBefore
    }
    guard let nextTick else { return nil }
    if nextTick > now { return unitLook.map { min($0, nextTick) } ?? nextTick }
    let readiness = Readiness(policy: policy, failures: failures)
    let isReady = dirty.entries.contains { path, entry in
      !dirty.isInFlight(path, entry) && readiness.isReady(path, entry, for: .tick, at: now)
    }
    if isReady || !dirty.rescans.isEmpty || !dirty.goneDirectories.isEmpty { return nextTick }
    return nextTick + interval * (((now - nextTick) / interval).rounded(.down) + 1)
  }

  /// The age of the oldest unpublished change: the work that a crash now would lose.
  package func recoveryPoint(at now: Instant) -> Duration? {
    dirty.oldestChange.map { now - $0 }
  }

  /// The changed paths that are not known to be published, including those of the running pass.
  package var waiting: [RelativePath] {
    let inHand = isRunning ? dirty.underWay.entries.keys.filter { dirty.entries[$0] == nil } : []
    let known = Set(inHand)
    let inFlight = dirty.inFlight.keys.filter { dirty.entries[$0] == nil && !known.contains($0) }
    return dirty.entries.keys + inHand + inFlight
  }

  /// Whether a tick would take a marker, with interval 0. The pass then takes complete files with the marker
  /// even if they have not settled. Otherwise, with a constant stream of data, some files would always be
  /// left out and the marker would wait for them.
  package func hasReadyMarker(at now: Instant) -> Bool {
    guard policy.interval == .zero, let wake = wakeTime(at: now), wake <= now else { return false }
    let readiness = Readiness(policy: policy, failures: failures)
    return dirty.entries.contains { path, entry in
      policy.commitOrder.isMarker(path) && !held.contains(path)
        && readiness.isReady(path, entry, for: .tick, at: now)
    }
  }

  /// The names that ready files have left. A pass takes these names together with the files, although each
  /// settles by itself, because a delete alone would count as a loss.
  private func namesLeft(by trigger: Trigger, _ readiness: Readiness, at now: Instant) -> Set<RelativePath> {
    guard trigger == .tick, policy.interval == .zero else { return [] }
    return Set(
      dirty.entries.lazy.filter {
        $0.value.origin != nil && readiness.isReady($0.key, $0.value, for: .tick, at: now)
      }
      .compactMap(\.value.origin?.path))
  }

  private mutating func isTickDue(at now: Instant) -> Bool {
    guard let wake = wakeTime(at: now), wake <= now else { return false }
    guard policy.interval == .zero, nextProbe == nil else { return true }
    // `nothingReadyBefore` is only a lower bound. It is reached, so compute the exact time.
    noteReadiness()
    return nothingReadyBefore.map { $0 <= now } ?? false
  }

  /// The paths that a pass left behind although they were complete when the newest change of the pass
  /// happened.
  private func deferred(before newest: Instant?) -> Set<RelativePath> {
    guard let newest else { return [] }
    var deferred = Set(dirty.rescans.keys)
    for (path, entry) in dirty.entries {
      if entry.holdsMarkers(changedAt: newest) { deferred.insert(path) }
    }
    return deferred
  }

  private func stale(before newest: Instant?) -> Set<RelativePath> {
    guard let newest else { return [] }
    return Set(dirty.entries.lazy.filter { !$0.value.isGone && $0.value.firstChange <= newest }.map(\.key))
  }

  private mutating func noteReadiness() {
    guard policy.interval == .zero else { return }
    let readiness = Readiness(policy: policy, failures: failures)
    let entries = dirty.entries.lazy.filter { [dirty] in !dirty.isInFlight($0.key, $0.value) }
      .compactMap { [held, unitLook] path, entry -> Instant? in
        let look = readiness.lookTime(path, entry)
        guard held.contains(path), let unitLook else { return look }
        return look.map { max($0, unitLook) } ?? unitLook
      }.min()
    // A directory without a back-off is due at once. Any time in the past means now.
    let gone = dirty.goneDirectories.keys.filter { !dirty.hasFlights(below: $0) }
    let directories = [Array(dirty.rescans.keys), gone].joined()
      .map { readiness.endOfBackOff($0) ?? dirty.oldestChange }
    nothingReadyBefore = ([entries] + directories).compactMap { $0 }.min()
  }

  /// Keeps the rhythm of the ticks. Ticks that a long pass has missed are skipped.
  private mutating func advanceTick(past now: Instant, by interval: Duration) {
    guard var tick = nextTick, tick <= now else { return }
    let missed = max(0, ((now - tick) / interval).rounded(.down))
    tick += interval * (missed + 1)
    nextTick = tick > now ? tick : tick + interval
  }
}
