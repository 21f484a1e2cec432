import MirrorModel
import Synchronization

/// One upload's schedule. The watcher's thread notes events in it, and the lane's task processes them.
///
/// Its memory is bounded: events are folded into the dirty set, and several rings of the doorbell into one.
final class LaneSchedule: Sendable {
  /// What the lane's task is to do next.
  enum Command: Sendable {
    case pass(UploadSchedule.Pass, answering: [Flush])
    /// A flush waits, and nothing is dirty.
    case answer([Flush])
    /// Check whether the root is in its place, and which directories must be polled. If flushes wait, the
    /// root was lost.
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
    /// A check of the root that is due besides the interval's; nil if only events ask for one.
    var nextLook: Instant?
    /// When the last check was due: one tick asks for one check.
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

  /// How often a lost root is searched for and unwatched parts are compared if no interval is set.
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
    // With an interval each tick checks the root. No event reports a mount, or a link above the root that now
    // leads to another directory.
    if policy.interval == .zero { state.nextLook = now + pollInterval }
    self.state = Mutex(state)
  }

  // MARK: In

  /// Called on the watcher's thread, and by the lane for parts that have no watch.
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
    // With an interval the tick comes by itself. A ring for every event would only wake the processor.
    if isImmediate || isRootLost { doorbell.ring() }
  }

  /// Notes that these names are no longer open: their files were closed under another name.
  func noteClosed(_ paths: [RelativePath]) {
    state.withLock { $0.schedule.noteClosedElsewhere(paths, at: clock.now) }
  }

  func noteRootLost() {
    state.withLock { $0.schedule.note([.rootLost], at: clock.now) }
  }

  func noteRootReturned() {
    state.withLock { $0.schedule.noteRootReturned(at: clock.now) }
  }

  /// Queues flushes again that could not be answered while the root was lost.
  func repeatFlushes(_ flushes: [Flush]) {
    state.withLock { $0.flushes = flushes + $0.flushes }
  }

  /// Waits until a pass has tried everything that was closed before the call.
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

  /// Lets `next` return `end` after the current pass. Cancelling its task has the same effect.
  func requestEnd() {
    state.withLock { $0.isEnding = true }
    doorbell.ring()
  }

  /// Answers all flushes that still wait; later flushes return at once.
  func close(answering outcome: PassOutcome? = nil) {
    let waiting = state.withLock { state in
      state.isClosed = true
      defer { state.flushes = [] }
      return state.flushes + state.coverage.takeAll()
    }
    for flush in waiting { flush.answer(outcome) }
  }

  /// Takes over the paths that the comparison at entry could not publish.
  func adopt(_ unpublished: DirtySet.Batch) {
    state.withLock { $0.schedule.adopt(unpublished, at: clock.now) }
  }

  /// Whether the watch has reported an in-progress mark in this run.
  var hasMetMarks: Bool { state.withLock { $0.schedule.hasMetMarks } }

  /// Whether an in-progress mark that announces a change of the path is not yet published.
  func isUnderWaitingMark(_ path: RelativePath) -> Bool {
    state.withLock { $0.schedule.isUnderWaitingMark(path) }
  }

  /// Notes paths that the current pass publishes besides its batch.
  func noteTaken(_ more: [RelativePath: DirtyEntry]) {
    state.withLock { $0.schedule.noteTaken(more) }
  }

  func finish(_ outcome: PassOutcome) {
    // A refused path stays refused until it has another name, so it is checked less and less often.
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

  /// When something is due next, not counting flushes and the end.
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

  /// - Parameter outcome: the result of this one path.
  func land(_ path: RelativePath, _ outcome: PassOutcome) {
    let isFailed = outcome.failed[path] != nil || outcome.refused[path] != nil
    let failure: ServiceState? = isFailed ? (outcome.unreachable.isEmpty ? .unknown : .unreachable) : nil
    let ready = state.withLock { state in
      let kept = state.coverage.hasBegun ? state.schedule.dirty.paths(keptByFlightOf: path) : []
      state.schedule.land(
        path, back: outcome.unpublished.entries[path], failure: failure,
        isAnswered: outcome.summary.published > 0, at: clock.now)
      return takeAnswers(state.coverage.land(path, outcome, leaving: kept), in: &state)
    }
    for (flush, outcome) in ready { flush.answer(outcome) }
    doorbell.ring()
  }

  /// Answers flushes as soon as everything that they cover has ended.
  ///
  /// - Parameter outcome: the result of their pass; nil if there was nothing to do.
  func answer(_ flushes: [Flush], with outcome: PassOutcome?) {
    let ready = state.withLock { state in
      let dirty = state.schedule.dirty
      let kept = dirty.entries.keys.lazy.filter(dirty.isKeptByFlight)
      return takeAnswers(state.coverage.end(flushes, with: outcome, keptByFlights: kept), in: &state)
    }
    for (flush, outcome) in ready { flush.answer(outcome) }
  }

  /// The flushes that can be answered now; the others are queued for a second pass.
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

  /// Returns the next thing to do, and waits until there is one.
  ///
  /// - Parameters:
  ///   - fence: returns when every change until now has been noted; called before a flush takes its batch.
  ///   - poll: notes the parts that are not watched. Called only with interval zero, before a batch is taken
  ///     for a marker or a flush: these must also cover changes that no event reports.
  ///   - probe: returns the paths that no process has open for writing; called for paths that count as open,
  ///     before a batch is taken.
  func next(
    fence: @Sendable () async -> Void, poll: @Sendable () async -> Void = {},
    probe: Probe = { _ in [] }
  ) async -> Command {
    while true {
      // A cancelled task cannot wait, and anything that it began would fail. `close` answers waiting flushes.
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

  /// When the lane wakes next if no event and no flush wakes it earlier.
  var wakeTime: Instant? {
    state.withLock { state in
      [state.schedule.wakeTime(at: clock.now), state.nextLook, state.nextAudit].compactMap { $0 }.min()
    }
  }

  /// Marks paths that count as open as closed if no process writes them, so that the batch includes them.
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

  /// Whatever is due besides passes.
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

  /// A pass over everything that is dirty, for the end of the scope.
  func drain() -> UploadSchedule.Pass? {
    state.withLock { $0.schedule.begin(.drain, at: clock.now) }
  }

  /// The paths below a directory that changed since the last batch was taken, if they were ever whole. A
  /// directory that must be compared stands for itself, unless it must be compared at every tick.
  func dirtyPaths(within directory: RelativePath) -> [RelativePath] {
    state.withLock { $0.schedule.dirty.paths(around: directory) }
  }

  /// Whether a marker whose bytes were already read must wait. See `DirtySet.holdsBack`.
  func holdsBack(
    _ marker: RelativePath, order: CommitOrder, _ strictness: MarkerStrictness,
    otherNames: (RelativePath) -> Set<RelativePath>
  ) -> Bool {
    state.withLock {
      $0.schedule.dirty.holdsBack(marker, order: order, strictness, otherNames: otherNames)
    }
  }

  /// Whether a pointer whose bytes were already read must wait. See `DirtySet.holdsBack`.
  func holdsBack(pointerTo target: RelativePath, isPublished: Bool, otherNames: Set<RelativePath>) -> Bool {
    state.withLock {
      $0.schedule.dirty.holdsBack(pointerTo: target, isPublished: isPublished, otherNames: otherNames)
    }
  }

  /// Directories that must be compared because no event reports their changes, and why.
  var polled: [RelativePath: RescanReason] {
    state.withLock { $0.schedule.dirty.polled }
  }

  /// Names whose objects are kept until the files that were renamed from them are published.
  var origins: Set<RelativePath> { state.withLock { $0.schedule.dirty.origins } }

  /// Whether the path is known to need publishing or a delete.
  func isDirty(_ path: RelativePath) -> Bool {
    state.withLock { state in
      let dirty = state.schedule.dirty
      if dirty.entries[path] != nil || dirty.inFlight[path] != nil { return true }
      return ([path] + path.ancestors).contains {
        dirty.rescans[$0] != nil || dirty.goneDirectories[$0] != nil
      }
    }
  }

  /// Whether a later batch will include the path.
  func isWaiting(_ path: RelativePath) -> Bool {
    state.withLock { $0.schedule.dirty.entries[path] != nil }
  }

  /// The paths to be published or deleted, with what is known of each.
  var dirtyEntries: [RelativePath: DirtyEntry] { state.withLock { $0.schedule.dirty.entries } }

  /// All paths to be published or deleted, without those below directories that must be compared.
  var dirtyPaths: [RelativePath] {
    state.withLock { state in
      Array(Set(state.schedule.dirty.entries.keys).union(state.schedule.dirty.inFlight.keys))
    }
  }

  var passCount: Int { state.withLock { $0.schedule.passCount } }

  /// Whether a flush waits that has not begun.
  var hasFlushes: Bool { state.withLock { !$0.flushes.isEmpty } }

  var isClosed: Bool { state.withLock { $0.isClosed } }

  var isRootLost: Bool { state.withLock { $0.schedule.dirty.isRootLost } }

  /// The paths that are not published.
  struct Backlog: Sendable {
    var paths: [RelativePath]
    /// The paths that wait for their close, and how long each has been open for writing.
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
