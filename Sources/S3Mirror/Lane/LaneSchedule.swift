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
    case end
  }

  /// A caller that waits for everything closed so far to be published.
  struct Flush: Sendable {
    fileprivate let continuation: CheckedContinuation<PassOutcome?, Never>

    /// - Parameter outcome: nil when there was nothing to publish.
    func answer(_ outcome: PassOutcome?) {
      continuation.resume(returning: outcome)
    }
  }

  private struct State {
    var schedule: UploadSchedule
    var flushes: [Flush] = []
    var isEnding = false
    var isClosed = false
  }

  private let state: Mutex<State>
  private let doorbell = Doorbell()
  private let isImmediate: Bool

  init(policy: UploadSchedule.Policy) {
    state = Mutex(State(schedule: UploadSchedule(policy: policy, startingAt: .now)))
    isImmediate = policy.interval == .zero
  }

  // MARK: In

  /// Called on the watcher's thread.
  func note(_ events: [WatchEvent]) {
    let now = ContinuousClock.now
    state.withLock { $0.schedule.note(events, at: now) }
    // With an interval the tick comes by itself; ringing for every event would only wake the processor.
    if isImmediate { doorbell.ring() }
  }

  /// Waits until everything closed before the call was tried once.
  func flush() async -> PassOutcome? {
    await withCheckedContinuation { continuation in
      let isClosed = state.withLock { state in
        if !state.isClosed { state.flushes.append(Flush(continuation: continuation)) }
        return state.isClosed
      }
      if isClosed { continuation.resume(returning: nil) }
      doorbell.ring()
    }
  }

  /// Lets `next` return `end` once the pass in hand is done.
  func requestEnd() {
    state.withLock { $0.isEnding = true }
    doorbell.ring()
  }

  /// Answers whoever still waits; later flushes return at once.
  func close() {
    let waiting = state.withLock { state in
      state.isClosed = true
      defer { state.flushes = [] }
      return state.flushes
    }
    for flush in waiting { flush.answer(nil) }
  }

  /// Takes over what the entry's comparison could not publish.
  func adopt(_ unpublished: DirtySet.Batch) {
    state.withLock { $0.schedule.adopt(unpublished, at: .now) }
  }

  func finish(_ outcome: PassOutcome) {
    let failed = Set(outcome.failed.keys)
    state.withLock { $0.schedule.finish(unpublished: outcome.unpublished, failed: failed, at: .now) }
  }

  // MARK: Out

  /// The next thing to do, waiting for it if need be.
  ///
  /// - Parameter fence: makes sure that every change until now has been noted; called before a flush takes its batch.
  func next(fence: @Sendable () async -> Void) async -> Command {
    while true {
      let flushes = state.withLock { state in
        defer { state.flushes = [] }
        return state.flushes
      }
      if !flushes.isEmpty {
        await fence()
        let pass = state.withLock { $0.schedule.begin(.flush, at: .now) }
        return pass.map { .pass($0, answering: flushes) } ?? .answer(flushes)
      }
      if state.withLock({ $0.isEnding }) { return .end }
      if let pass = state.withLock({ $0.schedule.begin(.tick, at: .now) }) {
        return .pass(pass, answering: [])
      }
      await doorbell.wait(until: state.withLock { $0.schedule.wakeTime(at: .now) })
    }
  }

  /// Everything that is dirty, for the end of the scope.
  func drain() -> UploadSchedule.Pass? {
    state.withLock { $0.schedule.begin(.drain, at: .now) }
  }

  /// What changed below a directory since the last batch was taken, as far as it was ever whole; a directory that
  /// must be compared stands for itself, unless it must be at every tick.
  func dirtyPaths(within directory: RelativePath) -> [RelativePath] {
    state.withLock { state in
      let dirty = state.schedule.dirty
      let entries = dirty.entries.filter { $0.value.holdsMarkers && $0.key.isWithin(directory) }
      let rescans = dirty.rescans.filter { rescan, reason in
        !reason.isStanding && (rescan.isWithin(directory) || directory.isWithin(rescan))
      }
      return Array(entries.keys) + rescans.keys
    }
  }

  var passCount: Int { state.withLock { $0.schedule.passCount } }

  var isRootLost: Bool { state.withLock { $0.schedule.dirty.isRootLost } }

  /// The paths that wait, and the age of the oldest change.
  func backlog() -> (paths: [RelativePath], recoveryPoint: Duration?) {
    state.withLock { state in
      (Array(state.schedule.dirty.entries.keys), state.schedule.recoveryPoint(at: .now))
    }
  }
}
