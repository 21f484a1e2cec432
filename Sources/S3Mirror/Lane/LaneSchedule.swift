import MirrorModel
import Synchronization

/// One upload's schedule, shared by the watcher's thread, which notes events, and the lane's task, which works them off.
///
/// What waits is bounded: events fold into the dirty set, rings into one.
final class LaneSchedule: Sendable {
  /// What the lane's task is to do next.
  enum Command: Sendable {
    case pass(UploadSchedule.Pass, answering: [Flush])
    /// Somebody waits and nothing is dirty.
    case answer([Flush])
    /// See whether the root is in its place, and to what must be polled; it was lost if somebody waits.
    case look(answering: [Flush])
    /// Compare everything.
    case audit
    case end
  }

  typealias Probe = @Sendable ([RelativePath]) -> [RelativePath]

  private struct State {
    var schedule: UploadSchedule
    /// Flushes that have not begun.
    var flushes: [Flush] = []
    var coverage = FlushCoverage()
    var isEnding = false
    var isClosed = false
    /// Besides the interval's: nil where nothing but events calls for a look.
    var nextLook: Instant?
    /// The time that the last look was due: one tick asks for one.
    var lastLook: Instant?
    var nextAudit: Instant?
  }

  private let state: Mutex<State>
  let clock: any LaneClock
  let doorbell = Doorbell()
  private let isImmediate: Bool
  private let hasTicks: Bool
  private let auditInterval: Duration?
  private let pollInterval: Duration

  /// How often a lost root is looked for and unwatched parts are compared where no interval says it.
  static let standardPollInterval: Duration = .seconds(10)

  init(
    policy: UploadSchedule.Policy, auditInterval: Duration? = nil,
    pollInterval: Duration = LaneSchedule.standardPollInterval, clock: any LaneClock = SystemClock()
  ) {
    let now = clock.now
    self.clock = clock
    self.pollInterval = pollInterval
    isImmediate = policy.interval == .zero
    hasTicks = policy.interval.map { $0 > .zero } ?? false
    self.auditInterval = auditInterval
    var state = State(schedule: UploadSchedule(policy: policy, startingAt: now))
    state.nextAudit = auditInterval.map { now + $0 }
    // With an interval each tick looks. Of a link above the root that leads elsewhere now, or of a mount, no event tells.
    if policy.interval == .zero { state.nextLook = now + pollInterval }
    self.state = Mutex(state)
  }

  // MARK: In

  /// Called on the watcher's thread, and by the lane for what has no watch.
  func note(_ events: [WatchEvent]) {
    if events.isEmpty { return }
    let now = clock.now
    let isRootLost = state.withLock { state in
      let wasRootLost = state.schedule.dirty.isRootLost
      state.schedule.note(events, at: now)
      let isRootLost = !wasRootLost && state.schedule.dirty.isRootLost
      if isRootLost { state.nextLook = now }
      return isRootLost
    }
    // With an interval the tick comes by itself; ringing for every event would only wake the processor.
    if isImmediate || isRootLost { doorbell.ring() }
  }

  /// Ends the waiting of names that count as open; their files were closed under another name.
  func noteClosed(_ paths: [RelativePath]) {
    state.withLock { state in
      let waiting = paths.filter { state.schedule.dirty.entries[$0] != nil }
      state.schedule.note(waiting.map { .closed($0) }, at: clock.now)
    }
  }

  func noteRootLost() {
    state.withLock { $0.schedule.note([.rootLost], at: clock.now) }
  }

  func noteRootReturned() {
    state.withLock { $0.schedule.noteRootReturned(at: clock.now) }
  }

  /// Has flushes answered that could not be while the root was lost.
  func repeatFlushes(_ flushes: [Flush]) {
    state.withLock { $0.flushes = flushes + $0.flushes }
  }

  /// Waits until everything closed before the call was tried once.
  func flush() async -> PassOutcome? {
    await withCheckedContinuation { continuation in
      let isClosed = state.withLock { state in
        if !state.isClosed { state.flushes.append(Flush(continuation)) }
        return state.isClosed
      }
      if isClosed { continuation.resume(returning: nil) }
      doorbell.ring()
    }
  }

  /// Lets `next` return `end` once the pass in hand is done. So does cancelling its task.
  func requestEnd() {
    state.withLock { $0.isEnding = true }
    doorbell.ring()
  }

  /// Answers whoever still waits; later flushes return at once.
  func close(answering outcome: PassOutcome? = nil) {
    let waiting = state.withLock { state in
      state.isClosed = true
      defer { state.flushes = [] }
      return state.flushes + state.coverage.takeAll()
    }
    for flush in waiting { flush.answer(outcome) }
  }

  /// Takes over what the entry's comparison could not publish.
  func adopt(_ unpublished: DirtySet.Batch) {
    state.withLock { $0.schedule.adopt(unpublished, at: clock.now) }
  }

  /// Whether the watch has told of an in-progress mark in this run.
  var hasMetMarks: Bool { state.withLock { $0.schedule.hasMetMarks } }

  /// Whether an in-progress mark that speaks for the path is not published.
  func isUnderWaitingMark(_ path: RelativePath) -> Bool {
    state.withLock { $0.schedule.isUnderWaitingMark(path) }
  }

  /// Says that the pass in hand publishes these besides its batch.
  func noteTaken(_ more: [RelativePath: DirtyEntry]) {
    state.withLock { $0.schedule.noteTaken(more) }
  }

  func finish(_ outcome: PassOutcome) {
    // What is refused stays so until it has another name, so it is looked at ever less often.
    let failed = Set(outcome.failed.keys).union(outcome.refused.keys)
    state.withLock {
      $0.schedule.finish(
        unpublished: outcome.unpublished, failed: failed, unreachable: outcome.unreachable,
        service: outcome.service, at: clock.now)
    }
  }

  // MARK: Publications that outlive their pass

  var pathsInFlight: Set<RelativePath> { state.withLock { Set($0.schedule.dirty.inFlight.keys) } }

  /// Whether something waits for the lane while a pass runs.
  var isNeeded: Bool {
    state.withLock { state in
      let now = clock.now
      if !state.flushes.isEmpty || state.isEnding { return true }
      return dueTime(of: &state, at: now).map { $0 <= now } ?? false
    }
  }

  /// When something waits for the lane next, flushes and the end aside.
  var dueTime: Instant? { state.withLock { dueTime(of: &$0, at: clock.now) } }

  private func dueTime(of state: inout State, at now: Instant) -> Instant? {
    [state.schedule.dueTime(at: now), state.nextLook, state.nextAudit].compactMap { $0 }.min()
  }

  func depart(_ paths: [RelativePath: DirtyEntry]) {
    state.withLock { state in
      state.schedule.depart(paths)
      state.coverage.depart(Set(paths.keys))
    }
  }

  /// - Parameter outcome: of the one path.
  func land(_ path: RelativePath, _ outcome: PassOutcome) {
    let isFailed = outcome.failed[path] != nil || outcome.refused[path] != nil
    let failure: ServiceState? = isFailed ? (outcome.unreachable.isEmpty ? .unknown : .unreachable) : nil
    let ready = state.withLock { state in
      state.schedule.land(
        path, back: outcome.unpublished.entries[path], failure: failure,
        isAnswered: outcome.summary.published > 0, at: clock.now)
      return takeAnswers(state.coverage.land(path, outcome), in: &state)
    }
    for (flush, outcome) in ready { flush.answer(outcome) }
    doorbell.ring()
  }

  /// Answers flushes as soon as everything is over that they cover.
  ///
  /// - Parameter outcome: of their pass; nil when nothing was to be done.
  func answer(_ flushes: [Flush], with outcome: PassOutcome?) {
    let ready = state.withLock { state in
      let dirty = state.schedule.dirty
      let kept = dirty.entries.keys.lazy.filter(dirty.isKeptByFlight)
      return takeAnswers(state.coverage.end(flushes, with: outcome, keptByFlights: kept), in: &state)
    }
    for (flush, outcome) in ready { flush.answer(outcome) }
  }

  /// What can be answered now; the other flushes get their second pass.
  private func takeAnswers(_ ended: [FlushCoverage.Ended], in state: inout State) -> [(Flush, PassOutcome?)] {
    ended.compactMap { ended in
      switch ended {
      case .answered(let flush, let outcome): return (flush, outcome)
      case .again(let flush, let outcome):
        if state.isClosed { return (flush, outcome) }
        state.flushes.append(flush)
        return nil
      }
    }
  }

  // MARK: Out

  /// The next thing to do, waiting for it if need be.
  ///
  /// - Parameters:
  ///   - fence: makes sure that every change until now has been noted; called before a flush takes its batch.
  ///   - poll: has noted what is not watched. Called, where the interval is zero, before a batch is taken that a marker or
  ///     a flush makes answer for what no event tells of.
  ///   - probe: those of the paths that nobody has open for writing; asked of what counts as open, before a batch is taken.
  func next(
    fence: @Sendable () async -> Void, poll: @Sendable () async -> Void = {},
    probe: Probe = { _ in [] }
  ) async -> Command {
    while true {
      // A cancelled task cannot wait, and what it began would fail. Whoever waits for a flush is answered by `close`.
      if Task.isCancelled { return .end }
      let flushes = state.withLock { state in
        defer { state.flushes = [] }
        return state.flushes
      }
      if !flushes.isEmpty {
        await fence()
        if isImmediate { await poll() }
        if isRootLost { return .look(answering: flushes) }
        lookForWriters(before: .flush, probe)
        let pass = state.withLock { state in
          state.coverage.begin(flushes, inFlight: Set(state.schedule.dirty.inFlight.keys))
          return state.schedule.begin(.flush, at: clock.now)
        }
        return pass.map { .pass($0, answering: flushes) } ?? .answer(flushes)
      }
      if state.withLock({ $0.isEnding }) { return .end }
      if let chore = state.withLock({ takeChore(from: &$0) }) { return chore }
      if let pass = await tick(poll: poll, probe: probe) { return .pass(pass, answering: []) }
      await clock.wait(for: doorbell, until: wakeTime)
    }
  }

  /// When the lane has something to do next, while it rests and no event or flush calls it.
  var wakeTime: Instant? {
    state.withLock { state in
      [state.schedule.wakeTime(at: clock.now), state.nextLook, state.nextAudit].compactMap { $0 }.min()
    }
  }

  /// Takes what counts as open for closed where no writer is, so that the batch has it.
  private func lookForWriters(before trigger: UploadSchedule.Trigger, _ probe: Probe) {
    let unclosed = state.withLock { $0.schedule.unclosed(for: trigger, at: clock.now) }
    guard !unclosed.isEmpty else { return }
    let gone = Set(probe(Array(unclosed.keys)))
    state.withLock { $0.schedule.noteWritersGone(unclosed.filter { gone.contains($0.key) }) }
  }

  private func tick(poll: @Sendable () async -> Void, probe: Probe) async -> UploadSchedule.Pass? {
    lookForWriters(before: .tick, probe)
    let (pass, takesMarkers) = state.withLock { state in
      let now = clock.now
      if state.schedule.hasReadyMarker(at: now) { return (UploadSchedule.Pass?.none, true) }
      return (state.schedule.begin(.tick, at: now), false)
    }
    guard takesMarkers else { return pass }
    await poll()
    return state.withLock { $0.schedule.begin(.tick, at: clock.now) }
  }

  /// What is due besides passes.
  private func takeChore(from state: inout State) -> Command? {
    let now = clock.now
    let isRootLost = state.schedule.dirty.isRootLost
    let tick = hasTicks ? state.schedule.wakeTime(at: now) : nil
    if let look = [tick, state.nextLook].compactMap({ $0 }).min(), look <= now, look != state.lastLook {
      state.lastLook = look
      state.nextLook = isImmediate || (isRootLost && !hasTicks) ? now + pollInterval : nil
      return .look(answering: [])
    }
    if let audit = state.nextAudit, let auditInterval, audit <= now {
      state.nextAudit = now + auditInterval
      if !isRootLost { return .audit }
    }
    return nil
  }

  /// Everything that is dirty, for the end of the scope.
  func drain() -> UploadSchedule.Pass? {
    state.withLock { $0.schedule.begin(.drain, at: clock.now) }
  }

  /// What changed below a directory since the last batch was taken, as far as it was ever whole; a directory that
  /// must be compared stands for itself, unless it must be at every tick.
  func dirtyPaths(within directory: RelativePath) -> [RelativePath] {
    state.withLock { $0.schedule.dirty.paths(around: directory) }
  }

  /// Whether a marker whose bytes are in hand has to wait. See `DirtySet.holdsBack`.
  func holdsBack(
    _ marker: RelativePath, order: CommitOrder, _ strictness: MarkerStrictness,
    otherNames: (RelativePath) -> Set<RelativePath>
  ) -> Bool {
    state.withLock {
      $0.schedule.dirty.holdsBack(marker, order: order, strictness, otherNames: otherNames)
    }
  }

  /// Directories that wait to be compared because no event tells of their changes, and why.
  var polled: [RelativePath: RescanReason] {
    state.withLock { $0.schedule.dirty.polled }
  }

  /// The names whose objects are kept until the files that left them are published.
  var origins: Set<RelativePath> { state.withLock { $0.schedule.dirty.origins } }

  /// Whether it is known that the path has to be published or deleted.
  func isDirty(_ path: RelativePath) -> Bool {
    state.withLock { state in
      let dirty = state.schedule.dirty
      if dirty.entries[path] != nil || dirty.inFlight[path] != nil { return true }
      return ([path] + path.ancestors).contains {
        dirty.rescans[$0] != nil || dirty.goneDirectories[$0] != nil
      }
    }
  }

  /// Whether a later batch will have the path.
  func isWaiting(_ path: RelativePath) -> Bool {
    state.withLock { $0.schedule.dirty.entries[path] != nil }
  }

  /// What has to be published or deleted, with what is known of it.
  var dirtyEntries: [RelativePath: DirtyEntry] { state.withLock { $0.schedule.dirty.entries } }

  /// Every path that has to be published or deleted, those below directories that must be compared not counted.
  var dirtyPaths: [RelativePath] {
    state.withLock { state in
      Array(Set(state.schedule.dirty.entries.keys).union(state.schedule.dirty.inFlight.keys))
    }
  }

  var passCount: Int { state.withLock { $0.schedule.passCount } }

  /// Whether somebody waits for a flush that has not begun.
  var hasFlushes: Bool { state.withLock { !$0.flushes.isEmpty } }

  var isClosed: Bool { state.withLock { $0.isClosed } }

  var isRootLost: Bool { state.withLock { $0.schedule.dirty.isRootLost } }

  /// What is not published.
  struct Backlog: Sendable {
    var paths: [RelativePath]
    /// Those of the paths that wait for their close, and how long they have been open for writing.
    var openFiles: [(path: RelativePath, age: Duration)]
    /// The age of the oldest change.
    var recoveryPoint: Duration?
  }

  func backlog() -> Backlog {
    state.withLock { state in
      let now = clock.now
      return Backlog(
        paths: state.schedule.waiting,
        openFiles: state.schedule.dirty.entries.compactMap { path, entry in
          guard case .open(let since, _) = entry.writer else { return nil }
          return state.schedule.policy.appendNames.contains(path) ? nil : (path, now - since)
        },
        recoveryPoint: state.schedule.recoveryPoint(at: now))
    }
  }
}
