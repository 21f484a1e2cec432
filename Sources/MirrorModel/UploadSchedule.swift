/// When one upload publishes, and what: the whole scheduling logic as a value. Events, clock readings and outcomes
/// go in; passes and wake-up times come out.
package struct UploadSchedule: Sendable {
  package struct Policy: Sendable {
    /// Time from tick to tick; nil publishes at exit only; zero publishes as soon as a closed change was quiet for `settle`.
    package var interval: Duration?
    /// How long a change must have been quiet where `interval` is zero, and the gap between the reads of a reread.
    package var settle: Duration
    /// How long a file with an unclosed write waits for its close before it goes as a reread snapshot.
    package var openFileGrace: Duration

    package init(
      interval: Duration?, settle: Duration = .seconds(1), openFileGrace: Duration? = nil
    ) {
      self.interval = interval
      self.settle = settle
      self.openFileGrace = openFileGrace ?? interval ?? .zero
    }
  }

  /// What starts a pass, and so what it takes.
  package enum Trigger: Sendable, Hashable {
    /// The interval's tick: closed changes, and open ones past their grace.
    case tick
    /// Somebody waits: everything closed, failures too, without their back-off.
    case flush
    /// The scope ends: everything, open files as well.
    case drain
  }

  package struct Pass: Sendable {
    package var trigger: Trigger
    package var batch: DirtySet.Batch
    /// Closed changes that this pass leaves out because an earlier failure keeps them in back-off; markers wait for them.
    package var deferred: Set<RelativePath>
  }

  private struct Failure: Sendable {
    var count: Int
    var notBefore: Instant
  }

  package let policy: Policy
  package private(set) var dirty: DirtySet
  package private(set) var isRunning = false
  /// Passes that were started.
  package private(set) var passCount = 0
  private var nextTick: Instant?
  private var failures: [RelativePath: Failure] = [:]

  /// The first back-off after a failed publication, doubled by each further one.
  package static let firstBackOff: Duration = .seconds(1)
  /// The longest back-off; an outage's end is noticed within it.
  package static let longestBackOff: Duration = .seconds(120)

  package init(policy: Policy, dirty: DirtySet = DirtySet(), startingAt now: Instant) {
    self.policy = policy
    self.dirty = dirty
    if let interval = policy.interval, interval > .zero { nextTick = now + interval }
  }

  // MARK: In

  package mutating func note(_ events: some Sequence<WatchEvent>, at now: Instant) {
    for event in events { dirty.note(event, at: now) }
  }

  package mutating func noteRootReturned(at now: Instant) {
    dirty.noteRootReturned(at: now)
  }

  /// Makes dirty what a comparison outside the schedule could not publish.
  package mutating func adopt(_ unpublished: DirtySet.Batch, at now: Instant) {
    dirty.giveBack(unpublished, at: now)
  }

  /// Starts a pass if one is due: the batch is the caller's until `finish`.
  package mutating func begin(_ trigger: Trigger, at now: Instant) -> Pass? {
    guard !isRunning else { return nil }
    if trigger == .tick {
      guard isTickDue(at: now) else { return nil }
      if let interval = policy.interval, interval > .zero { advanceTick(past: now, by: interval) }
    }
    guard !dirty.isRootLost else { return nil }
    var deferred: Set<RelativePath> = []
    let isImmediate = policy.interval == .zero
    let policy = policy
    let failures = failures
    let batch = dirty.take { path, entry in
      switch trigger {
      case .drain: return true
      case .flush:
        if case .open = entry.writing { return false }
        return true
      case .tick:
        if case .open(let since) = entry.writing { return since + policy.openFileGrace <= now }
        if isImmediate, entry.lastChange + policy.settle > now { return false }
        if let failure = failures[path], failure.notBefore > now {
          deferred.insert(path)
          return false
        }
        return true
      }
    }
    guard !batch.isEmpty else { return nil }
    isRunning = true
    passCount += 1
    return Pass(trigger: trigger, batch: batch, deferred: deferred)
  }

  /// Ends a pass. `unpublished` comes back dirty; of these, `failed` paths back off, the others were only caught in
  /// the middle of a change and are tried at the next tick.
  package mutating func finish(unpublished: DirtySet.Batch, failed: Set<RelativePath>, at now: Instant) {
    precondition(isRunning, "finish without begin")
    isRunning = false
    dirty.giveBack(unpublished, at: now)
    for path in failed {
      let count = (failures[path]?.count ?? 0) + 1
      let backOff = min(Self.firstBackOff * (1 << min(count - 1, 10)), Self.longestBackOff)
      failures[path] = Failure(count: count, notBefore: now + backOff)
    }
    failures = failures.filter { path, _ in
      dirty.entries[path] != nil || dirty.goneDirectories[path] != nil || dirty.rescans[path] != nil
    }
  }

  // MARK: Out

  /// When to call `begin(.tick)` next: the interval's tick, dirty or not, or where the interval is zero the moment
  /// the first change is ready. Nil while a pass runs, and when only exit publishes.
  package func wakeTime(at now: Instant) -> Instant? {
    guard !isRunning, let interval = policy.interval else { return nil }
    guard interval == .zero else { return nextTick }
    guard !dirty.isEmpty, !dirty.isRootLost else { return nil }
    if !dirty.rescans.isEmpty || !dirty.goneDirectories.isEmpty { return now }
    return dirty.entries.lazy.map { readyTime($0.key, $0.value) }.min()
  }

  /// The age of the oldest unpublished change: what a crash now would cost.
  package func recoveryPoint(at now: Instant) -> Duration? {
    dirty.oldestChange.map { now - $0 }
  }

  private func isTickDue(at now: Instant) -> Bool {
    guard let wake = wakeTime(at: now) else { return false }
    return wake <= now
  }

  private func readyTime(_ path: RelativePath, _ entry: DirtyEntry) -> Instant {
    var ready = entry.lastChange + policy.settle
    if case .open(let since) = entry.writing { ready = since + max(policy.openFileGrace, policy.settle) }
    if let failure = failures[path] { ready = max(ready, failure.notBefore) }
    return ready
  }

  /// Ticks keep their rhythm; those that a long pass swallowed are left out.
  private mutating func advanceTick(past now: Instant, by interval: Duration) {
    guard var tick = nextTick else { return }
    let missed = max(0, ((now - tick) / interval).rounded(.down))
    tick += interval * (missed + 1)
    nextTick = tick > now ? tick : tick + interval
  }
}
