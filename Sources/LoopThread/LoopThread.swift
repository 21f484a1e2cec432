// Glossary
//
// loop    a thread that runs jobs, takes a turn, waits, and begins again
// job     a piece of a task, as the Swift runtime hands it to an executor
// turn    the loop's own work after each batch of jobs: curl_multi_perform(3), reading inotify's records
// wait    blocks until there is something to do: curl_multi_poll(3), poll(2)
// wake    ends a wait from any thread and is remembered until the next one: curl_multi_wakeup(3), eventfd(2)
// worker  a thread that makes blocking calls for tasks that may not block

import DequeModule
import Dispatch
import Glibc
import Synchronization

/// One thread that is the serial executor of an actor, and waits for I/O when the actor has nothing to do.
///
/// An actor that names this as its executor keeps file descriptors and C handles as plain state: the compiler
/// proves that only this thread touches them. The thread holds the closures it was started with, and what they
/// capture, until `stop()`; so whoever starts a loop must stop it.
package final class LoopThread: SerialExecutor {
  private enum Phase {
    case unstarted, running, stopping, stopped
  }

  private struct State {
    var phase = Phase.unstarted
    /// Bounded by the tasks that exist: each has at most one job here.
    var jobs: Deque<LoopJob> = []
    var wake: (@Sendable () -> Void)?
    /// Whether the loop waits, or is about to, and nobody has begun to wake it.
    var isWaiting = false
    /// Whether a turn is wanted that has not begun.
    var isRung = false

    /// Asks for a turn. The result is to be called without the lock: a wake is a system call, and it is spared
    /// when the loop is awake, for it looks here before it waits, or when another caller wakes it.
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
  /// The pthread_t that runs a job or a turn now; 0 when none does. No thread has the number 0 in glibc.
  private let owner = Atomic<UInt>(0)
  /// Where jobs run that come after `stop()`.
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
  ///   - wake: is called from any thread, perhaps once more after `stop()`: what it needs it must hold.
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

  /// Ends the loop when its queue is empty, and joins the thread. Safe to call twice, from any thread but the loop's.
  ///
  /// Jobs that come later are not lost, because a lost job is a task that never ends: they run one at a time on
  /// a serial dispatch queue. They do not run on the thread that enqueues them, which may hold a lock they need.
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

  /// Brings a turn that begins after this call: ends the present wait or keeps the next from beginning. Does nothing
  /// once the loop has stopped.
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

  /// For tests: jobs that wait for their turn.
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

  /// Jobs from turn to turn: enough that a turn, some microseconds where nothing is ready, is little beside them, and few
  /// enough that requests which they leave for the turn do not wait for a whole burst of answers to be worked off.
  private static let batchCount = 16

  /// False when the loop has to end; from that moment on, jobs are late.
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

  /// Whether there is nothing to do; from then on a call wakes the loop.
  private func mayWait() -> Bool {
    state.withLock { state in
      state.isWaiting = state.phase == .running && state.jobs.isEmpty && !state.isRung
      return state.isWaiting
    }
  }

  /// The end of a loop that has no thread.
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
