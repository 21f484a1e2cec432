import DequeModule
import Dispatch
import Glibc
import Synchronization

/// Threads that run a program's tasks in place of the runtime's pool, and sleep until there is work.
///
/// The runtime's pool is libdispatch's, which checks its threads once a second for as long as the process
/// lives. A program that watches for hours should wake only when there is work. Tasks run here by preference
/// (SE-0417). A child task inherits its parent's preference; an unstructured task has none, so its creator
/// passes `current`.
///
/// The threads live as long as the process, as the runtime's do, so no job can come too late.
package final class TaskThreads: TaskExecutor {
  /// The threads on which the task was started; nil in a program that uses the runtime's pool.
  @TaskLocal package static var current: TaskThreads?

  private struct Sleeper {
    let id: UInt64
    let deadline: ContinuousClock.Instant
    let continuation: CheckedContinuation<Void, any Error>
  }

  private struct State {
    /// The number of existing tasks limits it, because each task has at most one job here.
    var jobs: Deque<UnownedJob> = []
    /// How many threads wait, minus the rings that they have not yet received.
    var idleCount = 0
    /// Whether a woken thread has not yet checked for work. That thread wakes the next one if there are more
    /// jobs than it takes, so a burst of jobs causes one wake-up and not one for each job.
    var isWaking = false
    /// Sorted; the last one wakes first.
    var sleepers: [Sleeper] = []
    var lastSleeper: UInt64 = 0
    /// Sleepers that were cancelled before their sleep began.
    var cancelled: Set<UInt64> = []
    /// The earliest deadline of a waiting thread; nil if none has a deadline.
    var alarm: ContinuousClock.Instant?

    /// The deadline for which no waiting thread will wake.
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

    /// Whether a thread must be woken for work that no thread does. If so, the caller has to ring.
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
  /// Rung once for each thread that has to wake.
  private let bell = Bell()

  /// Starts all threads at once. A thread that were started later would inherit the priority of the thread
  /// that needed it.
  ///
  /// - Parameter name: the name of each thread.
  package init(count: Int, name: String) throws(ThreadError) {
    precondition(count > 0, "no threads make no progress")
    for _ in 0..<count { _ = try NativeThread(name: name) { self.serve() } }
  }

  /// Runs a task on the threads, with its children and everything that is started on `current`, while the
  /// calling thread waits.
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

  /// Changes the state and wakes a thread if there is work.
  private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
    let (result, rings) = state.withLock { state in
      let result = body(&state)
      return (result, state.wakesOne())
    }
    if rings { bell.ring() }
    return result
  }
}

// MARK: - The threads

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

  /// Whether the thread was woken; false if its time is over.
  private func wait(until deadline: ContinuousClock.Instant?) -> Bool {
    guard let deadline else {
      bell.wait()
      return true
    }
    let isRung = bell.wait(atMost: deadline - .now)
    let isCalled = state.withLock { state in
      if state.alarm == deadline { state.alarm = nil }
      if isRung { return false }
      // A ring counts one thread in advance, but does not select a particular one.
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
  /// Sleeps on the threads on which the task was started, because the runtime's own sleep uses a timer of its
  /// pool.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  package static func pause(until deadline: ContinuousClock.Instant) async throws {
    guard let current else { return try await Task.sleep(until: deadline, clock: .continuous) }
    try await current.sleep(until: deadline)
  }

  /// The same for a duration.
  package static func pause(for duration: Duration) async throws {
    try await pause(until: .now + duration)
  }

  /// The continuous clock, for APIs that take a clock.
  package struct Clock: _Concurrency.Clock {
    package init() {}

    package var now: ContinuousClock.Instant { .now }
    package var minimumResolution: Duration { ContinuousClock().minimumResolution }

    package func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
      try await pause(until: deadline)
    }
  }

  /// Returns at the deadline, or later if the thread is still running a job.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
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
