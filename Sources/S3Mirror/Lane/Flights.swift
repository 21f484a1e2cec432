import MirrorModel
import Synchronization

/// Publications that have outlived the pass that began them.
///
/// A pass ends when something waits for the lane and everything of the pass has begun. What is still under way then, a large file or
/// one that the service does not answer, goes on as a flight: no pass takes its path, no marker goes that may speak for it, and when it has
/// ended the lane takes over what it came to.
final class Flights: Sendable {
  private struct State {
    var tasks: [RelativePath: Task<Void, Never>] = [:]
    /// Parts of units that begin when the bytes of their units are on the server.
    var toBegin: Set<RelativePath> = []
    var isCancelled = false
    var waiters: [CheckedContinuation<Void, Never>] = []

    var isEmpty: Bool { tasks.isEmpty && toBegin.isEmpty }
  }

  private let state = Mutex(State())

  /// Flights at one time; each keeps a file open. A pass that would make more waits for its publications.
  private static let most = 64

  var hasRoom: Bool { state.withLock { $0.tasks.count < Self.most } }

  /// - Parameter toBegin: paths that will be added once more with their tasks.
  func add(_ tasks: [RelativePath: Task<Void, Never>], toBegin: some Sequence<RelativePath> = []) {
    let isCancelled = state.withLock { state in
      state.tasks.merge(tasks) { $1 }
      state.toBegin.formUnion(toBegin)
      state.toBegin.subtract(tasks.keys)
      return state.isCancelled
    }
    if isCancelled { for task in tasks.values { task.cancel() } }
  }

  func end(_ path: RelativePath) {
    let waiters = state.withLock { state in
      state.tasks[path] = nil
      state.toBegin.remove(path)
      guard state.isEmpty else { return [CheckedContinuation<Void, Never>]() }
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  var isCancelled: Bool { state.withLock { $0.isCancelled } }

  /// Cancels all flights, and those that come.
  func cancel() {
    let tasks = state.withLock { state in
      state.isCancelled = true
      return Array(state.tasks.values)
    }
    for task in tasks { task.cancel() }
  }

  /// Returns when nothing is in flight. Cancelling the caller cancels the flights.
  func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isEmpty = state.withLock { state in
          if !state.isEmpty { state.waiters.append(continuation) }
          return state.isEmpty
        }
        if isEmpty { continuation.resume() }
      }
    } onCancel: {
      cancel()
    }
  }
}

/// How a pass ends before its last publications.
struct Detachment: Sendable {
  typealias Land = @Sendable (RelativePath, DirtyEntry, FilePublisher.Outcome) async -> Void

  enum Rule: Sendable {
    /// When something waits for the lane, a tick, a flush or the end, or all that is left has lasted long.
    case whenNeeded
    /// When all that is left has lasted long. A comparison waits for each batch before it goes on.
    case whenLong
  }

  let flights: Flights
  let schedule: LaneSchedule
  var rule = Rule.whenNeeded
  /// Takes over what a publication came to that has outlived its pass.
  let land: Land

  /// What has not ended so long after all of a pass had begun goes on without it: its deletes, its report and its flush wait for the pass.
  private static let long: Duration = .seconds(2)
  /// What is about to end is not worth a flight, though something waits for the lane.
  private static let short: Duration = .milliseconds(200)

  /// Rung by the schedule when it needs the lane. Nobody else waits for it while a pass runs.
  var bell: Doorbell { schedule.doorbell }

  /// When the pass is to end of which all has begun.
  func dueTime(sinceBeginnings begun: Instant) -> Instant {
    guard rule == .whenNeeded, let due = schedule.isNeeded ? begun : schedule.dueTime else {
      return begun + Self.long
    }
    return min(max(due, begun + Self.short), begun + Self.long)
  }

  func depart(_ paths: [RelativePath: DirtyEntry], _ tasks: [RelativePath: Task<Void, Never>]) {
    flights.add(tasks, toBegin: paths.keys.filter { tasks[$0] == nil })
    schedule.depart(paths)
  }
}
