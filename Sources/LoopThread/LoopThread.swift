// LoopThread: threads for loops, blocking calls, tasks and child processes.
//
// Glossary
//
// loop    a thread that runs jobs, takes a turn, waits, and begins again
// job     a piece of a task, as the Swift runtime hands it to an executor
// turn    the loop's own work after each batch of jobs: curl_multi_perform(3), reading inotify's records
// wait    blocks until there is something to do: curl_multi_poll(3), poll(2)
// wake    ends a wait from any thread and is remembered until the next one: curl_multi_wakeup(3), eventfd(2)
// late    said of a job that arrives after the loop has stopped
// ring    to ask a loop for a turn, or a sleeping thread for work
// worker  a thread that makes blocking calls for tasks that may not block
// sleeper a task that waits for a deadline
// orphan  a process whose parent has ended and whose new parent is this process

import DequeModule
import Dispatch
import Glibc
import Synchronization

/// One thread that is the serial executor of an actor and waits for I/O while the actor has nothing to do.
///
/// An actor with this executor can keep file descriptors and C handles as plain state: the compiler proves
/// that only this thread uses them. The thread holds the closures of `start`, with their captures, until
/// `stop()`. So every started loop must be stopped.
package final class LoopThread: SerialExecutor {
  private enum Phase {
    case unstarted, running, stopping, stopped
  }

  private struct State {
    var phase = Phase.unstarted
    /// The number of existing tasks limits it, because each task has at most one job here.
    var jobs: Deque<LoopJob> = []
    var wake: (@Sendable () -> Void)?
    /// Whether the loop waits, or is about to, and no thread has begun to wake it.
    var isWaiting = false
    /// Whether a turn is requested that has not begun.
    var isRung = false

    /// Requests a turn. Call the result without the lock, because a wake is a system call. There is no result
    /// if the loop is awake, because it checks again before it waits, or if another caller wakes it.
    mutating func ring() -> (@Sendable () -> Void)? {
      isRung = true
      guard isWaiting else { return nil }
      isWaiting = false
      return wake
    }
  }

  private let name: String
  private let priority: ThreadPriority
  private let state = Mutex(State())
  private let thread = Mutex<NativeThread?>(nil)
  /// The pthread_t that runs a job or a turn now; 0 if there is none. In glibc no thread has the number 0.
  private let owner = Atomic<UInt>(0)
  /// Runs the jobs that come after `stop()`.
  private let lateJobs: DispatchQueue

  package init(name: String, priority: ThreadPriority = .normal) {
    self.name = name
    self.priority = priority
    self.lateJobs = DispatchQueue(label: name)
  }

  /// Starts the thread. Jobs that were enqueued before run first.
  ///
  /// - Parameters:
  ///   - turn: runs on the loop's thread after each batch of jobs; `assumeIsolated` succeeds in it.
  ///   - wait: blocks on the loop's thread until something is ready or `wake` was called since the last wait.
  ///   - wake: called from any thread, possibly once more after `stop()`, so it must hold everything that it
  ///     uses.
  package func start(
    turn: @escaping @Sendable () -> Void, wait: @escaping @Sendable () -> Void,
    wake: @escaping @Sendable () -> Void
  ) throws(ThreadError) {
    state.withLock {
      precondition($0.phase == .unstarted, "a loop is started once")
      $0.phase = .running
      $0.wake = wake
    }
    do {
      let started = try NativeThread(name: name, priority: priority) { self.run(turn: turn, wait: wait) }
      thread.withLock { $0 = started }
    } catch {
      finish()
      throw error
    }
  }

  /// Ends the loop when its queue is empty, and joins the thread. A second call has no effect. Callable from
  /// any thread except the loop's.
  ///
  /// Later jobs are not lost, because a lost job would be a task that never ends. They run one at a time on a
  /// serial dispatch queue, and not on the enqueuing thread, which may hold a lock that they need.
  package func stop() {
    precondition(!isCurrent, "a loop cannot join itself")
    let wasStarted = state.withLock { state in
      switch state.phase {
      case .unstarted: return false
      case .running:
        state.phase = .stopping
        state.wake?()
      case .stopping, .stopped: break
      }
      return true
    }
    guard wasStarted else { return finish() }
    thread.withLock { thread in
      thread?.join()
      thread = nil
    }
  }

  /// Causes a turn that begins after this call: ends the present wait or prevents the next one. Has no effect
  /// after the loop has stopped.
  package func wakeUp() {
    state.withLock { $0.ring() }?()
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    enqueue(.ofActor(UnownedJob(job)))
  }

  func enqueue(_ job: LoopJob) {
    let (isLate, wake) = state.withLock { state in
      guard state.phase != .stopped else { return (true, nil as (@Sendable () -> Void)?) }
      state.jobs.append(job)
      return (false, state.ring())
    }
    wake?()
    if isLate { runLate([job]) }
  }

  /// For tests: how many jobs wait.
  package var waitingJobs: Int { state.withLock { $0.jobs.count } }

  package func checkIsolated() {
    precondition(isCurrent, "not on the thread of the loop “\(name)”")
  }

  package func isIsolatingCurrentContext() -> Bool? {
    isCurrent
  }

  /// Whether this thread is the loop's.
  package var isCurrent: Bool {
    owner.load(ordering: .relaxed) == UInt(pthread_self())
  }
}

extension LoopThread {
  private func run(turn: () -> Void, wait: () -> Void) {
    owner.store(UInt(pthread_self()), ordering: .relaxed)
    var batch: [LoopJob] = []
    while takeJobs(&batch) {
      for job in batch { run(job) }
      batch.removeAll(keepingCapacity: true)
      turn()
      if mayWait() { wait() }
    }
    owner.store(0, ordering: .relaxed)
  }

  private func run(_ job: LoopJob) {
    switch job {
    case .ofActor(let job): job.runSynchronously(on: asUnownedSerialExecutor())
    case .ofTask(let job, let executor): job.runSynchronously(on: executor)
    }
  }

  /// How many jobs run between two turns. Enough that a turn (some microseconds if nothing is ready) costs
  /// little in comparison, and few enough that requests of these jobs need not wait for a long burst of
  /// answers.
  private static let batchCount = 16

  /// False if the loop has to end. From that moment on, jobs are late.
  private func takeJobs(_ batch: inout [LoopJob]) -> Bool {
    state.withLock { state in
      state.isWaiting = false
      state.isRung = false
      if state.phase == .stopping && state.jobs.isEmpty {
        state.phase = .stopped
        state.wake = nil
        return false
      }
      while batch.count < Self.batchCount, let job = state.jobs.popFirst() { batch.append(job) }
      return true
    }
  }

  /// Whether there is nothing to do. From then on a call wakes the loop.
  private func mayWait() -> Bool {
    state.withLock { state in
      state.isWaiting = state.phase == .running && state.jobs.isEmpty && !state.isRung
      return state.isWaiting
    }
  }

  /// Ends a loop without a thread.
  private func finish() {
    let jobs = state.withLock { state in
      state.phase = .stopped
      state.wake = nil
      defer { state.jobs = [] }
      return state.jobs
    }
    runLate(Array(jobs))
  }

  private func runLate(_ jobs: [LoopJob]) {
    guard !jobs.isEmpty else { return }
    lateJobs.async {
      self.owner.store(UInt(pthread_self()), ordering: .relaxed)
      for job in jobs { self.run(job) }
      self.owner.store(0, ordering: .relaxed)
    }
  }
}
