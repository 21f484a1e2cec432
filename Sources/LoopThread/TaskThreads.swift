import DequeModule
import Dispatch
import Glibc
import Synchronization

/// Threads that run a program's tasks in place of the runtime's own pool, and sleep until there is something to do.
///
/// The runtime's pool is libdispatch's, which looks at its threads once a second for as long as the process lives. A program
/// that watches for hours is to wake when there is work, and at no other time. Tasks come here by preference (SE-0417):
/// children of a task have their parent's, tasks without a parent have none. Whoever starts one gives it `current`.
///
/// The threads live as long as the process, as the runtime's do: no job can come too late.
package final class TaskThreads: TaskExecutor {
  /// Those that the task was started on; nil in a program that leaves its tasks to the runtime.
  @TaskLocal package static var current: TaskThreads?

  private struct Sleeper {
    let id: UInt64
    let deadline: ContinuousClock.Instant
    let continuation: CheckedContinuation<Void, any Error>
  }

  private struct State {
    /// Bounded by the tasks that exist: each has at most one job here.
    var jobs: Deque<UnownedJob> = []
    /// Threads that wait, less the rings they have not heard yet.
    var idleCount = 0
    /// Whether a thread was woken that has not come to look yet. It wakes the next itself, should there be more than it
    /// takes: a burst of jobs makes one wake-up, not one a job.
    var isWaking = false
    /// The next to be woken is the last.
    var sleepers: [Sleeper] = []
    var lastSleeper: UInt64 = 0
    /// Sleepers that were cancelled before they lay down.
    var cancelled: Set<UInt64> = []
    /// The earliest time limit of a thread that waits; nil when none has one.
    var alarm: ContinuousClock.Instant?

    /// When a thread has to wake that no waiting one will.
    var missingAlarm: ContinuousClock.Instant? {
      guard let next = sleepers.last?.deadline else { return nil }
      if let alarm, alarm <= next { return nil }
      return next
    }

    mutating func takeRested() -> [Sleeper] {
      guard let next = sleepers.last?.deadline else { return [] }
      let now = ContinuousClock.now
      guard next <= now else { return [] }
      let first = sleepers.firstIndex { $0.deadline <= now } ?? sleepers.endIndex
      defer { sleepers.removeSubrange(first...) }
      return sleepers[first...].reversed()
    }

    /// Whether somebody is to be woken for what nobody does: the caller has to ring.
    mutating func wakesOne() -> Bool {
      guard !isWaking, idleCount > 0, !jobs.isEmpty || missingAlarm != nil else { return false }
      idleCount -= 1
      isWaking = true
      return true
    }
  }

  private enum Step {
    case run(UnownedJob)
    case rouse([Sleeper])
    case wait(until: ContinuousClock.Instant?)
  }

  private let state = Mutex(State())
  /// Rung once for each thread that is to wake.
  private let bell = Bell()

  /// Starts the threads, all at once: one that is made later would have the priority of the thread that needed it.
  ///
  /// - Parameter name: of each thread.
  package init(count: Int, name: String) throws(ThreadError) {
    precondition(count > 0, "no threads make no progress")
    for _ in 0..<count { _ = try NativeThread(name: name) { self.serve() } }
  }

  /// Runs a task on the threads, with its children and whatever is started on `current`, while the calling thread waits.
  package func run<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) -> Result {
    let outcome = Mutex<Result?>(nil)
    let hasEnded = DispatchSemaphore(value: 0)
    Task(executorPreference: self) {
      let result = await Self.$current.withValue(self) { await body() }
      outcome.withLock { $0 = result }
      hasEnded.signal()
    }
    hasEnded.wait()
    guard let result = outcome.withLock({ $0 }) else { preconditionFailure("a task ended without a result") }
    return result
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    change { $0.jobs.append(job) }
  }

  /// Changes what there is to do, and wakes a thread for it.
  private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
    let (result, rings) = state.withLock { state in
      let result = body(&state)
      return (result, state.wakesOne())
    }
    if rings { bell.ring() }
    return result
  }
}

// MARK: - A thread's life

extension TaskThreads {
  private func serve() -> Never {
    var isWoken = false
    while true {
      switch nextStep(isWoken: isWoken) {
      case .run(let job):
        isWoken = false
        job.runSynchronously(on: asUnownedTaskExecutor())
      case .rouse(let sleepers):
        isWoken = false
        for sleeper in sleepers { sleeper.continuation.resume() }
      case .wait(let deadline):
        isWoken = wait(until: deadline)
      }
    }
  }

  private func nextStep(isWoken: Bool) -> Step {
    let (step, rings): (Step, Bool) = state.withLock { state in
      if isWoken { state.isWaking = false }
      let rested = state.takeRested()
      if !rested.isEmpty { return (.rouse(rested), state.wakesOne()) }
      if let job = state.jobs.popFirst() { return (.run(job), state.wakesOne()) }
      state.idleCount += 1
      let deadline = state.missingAlarm
      if let deadline { state.alarm = deadline }
      return (.wait(until: deadline), false)
    }
    if rings { bell.ring() }
    return step
  }

  /// Whether the thread was woken; else its time is over.
  private func wait(until deadline: ContinuousClock.Instant?) -> Bool {
    guard let deadline else {
      bell.wait()
      return true
    }
    let isRung = bell.wait(atMost: deadline - .now)
    let isCalled = state.withLock { state in
      if state.alarm == deadline { state.alarm = nil }
      if isRung { return false }
      // Whoever rings counts the thread that he means beforehand, but means none in particular.
      guard state.idleCount > 0 else { return true }
      state.idleCount -= 1
      return false
    }
    if isCalled { bell.wait() }
    return isRung || isCalled
  }
}

// MARK: - Sleeping

extension TaskThreads {
  /// Sleeps on the threads that the task was started on: the runtime's own sleep is a timer of its pool.
  ///
  /// - Throws: `CancellationError`, as soon as the task is cancelled.
  package static func pause(until deadline: ContinuousClock.Instant) async throws {
    guard let current else { return try await Task.sleep(until: deadline, clock: .continuous) }
    try await current.sleep(until: deadline)
  }

  /// The same for a length of time.
  package static func pause(for duration: Duration) async throws {
    try await pause(until: .now + duration)
  }

  /// The continuous clock, for whoever takes a clock to sleep by.
  package struct Clock: _Concurrency.Clock {
    package init() {}

    package var now: ContinuousClock.Instant { .now }
    package var minimumResolution: Duration { ContinuousClock().minimumResolution }

    package func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
      try await pause(until: deadline)
    }
  }

  /// Returns at the deadline, or as much later as the job takes that a thread is just then at.
  ///
  /// - Throws: `CancellationError`, as soon as the task is cancelled.
  private func sleep(until deadline: ContinuousClock.Instant) async throws {
    let id = state.withLock { state in
      state.lastSleeper += 1
      return state.lastSleeper
    }
    defer { state.withLock { _ = $0.cancelled.remove(id) } }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let sleeper = Sleeper(id: id, deadline: deadline, continuation: continuation)
        let isAsleep = change { state in
          if state.cancelled.contains(id) { return false }
          let index = state.sleepers.firstIndex { $0.deadline <= deadline } ?? state.sleepers.endIndex
          state.sleepers.insert(sleeper, at: index)
          return true
        }
        if !isAsleep { continuation.resume(throwing: CancellationError()) }
      }
    } onCancel: {
      let sleeper: Sleeper? = state.withLock { state in
        guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
          state.cancelled.insert(id)
          return nil
        }
        return state.sleepers.remove(at: index)
      }
      sleeper?.continuation.resume(throwing: CancellationError())
    }
  }
}
