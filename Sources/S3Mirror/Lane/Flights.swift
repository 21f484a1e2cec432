import MirrorModel
import Synchronization

/// Publications that have outlived the pass that began them.
///
/// A pass ends when something waits for the lane and everything of the pass has begun. A publication that is
/// still running then, of a large file or of one for which the service does not answer, goes on as a flight.
/// No pass takes its path meanwhile, and no marker that may name its file is published. When the flight has
/// ended, the lane takes over its result.
final class Flights: Sendable {
  private struct State {
    var tasks: [RelativePath: Task<Void, Never>] = [:]
    /// Files of units that begin only when the other bytes of their units are on the server.
    var toBegin: Set<RelativePath> = []
    var isCancelled = false
    var waiters: [CheckedContinuation<Void, Never>] = []

    var isEmpty: Bool { tasks.isEmpty && toBegin.isEmpty }
  }

  private let state = Mutex(State())

  /// The limit of flights; each keeps a file open. A pass that would exceed it waits for its publications.
  private static let most = 64

  var hasRoom: Bool { state.withLock { $0.tasks.count < Self.most } }

  /// - Parameter toBegin: paths that will be added again later, with their tasks.
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

  /// Cancels all flights, including later ones.
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
    /// The pass may end when something waits for the lane (a tick, a flush or the end), or when everything
    /// still running has lasted long.
    case whenNeeded
    /// The pass may end only when everything still running has lasted long. A comparison waits for each batch
    /// before it goes on.
    case whenLong
  }

  let flights: Flights
  let schedule: LaneSchedule
  var rule = Rule.whenNeeded
  /// Takes over the result of a publication that has outlived its pass.
  let land: Land

  /// A publication that is still running so long after everything of its pass has begun becomes a flight.
  /// Otherwise the deletes, the report and the flush of the pass would wait for it.
  private static let long: Duration = .seconds(2)
  /// A publication that ends within this time does not become a flight, even if something waits for the lane.
  private static let short: Duration = .milliseconds(200)

  /// The schedule rings it when it needs the lane. Nothing else waits for it while a pass runs.
  var bell: Doorbell { schedule.doorbell }

  /// When the pass should end, once everything of it has begun.
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
