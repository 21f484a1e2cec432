import DequeModule
import Dispatch
import Synchronization

/// A fixed number of threads for blocking calls, such as pread(2) on a network disk.
///
/// The cooperative pool has about one thread per core. A task that blocks there takes a thread from all other
/// tasks, and as many such tasks as there are cores stop the program.
package final class WorkerThreads: Sendable {
  /// The threads were stopped before the call.
  package struct Stopped: Error, CustomStringConvertible {
    package var name: String

    package var description: String { "the threads “\(name)” were stopped" }
  }

  private struct State {
    var isStopped = false
    /// The number of existing tasks limits it, because each task waits for its one entry.
    var calls: Deque<@Sendable () -> Void> = []
  }

  /// When the threads are started.
  package enum Start: Sendable {
    case now
    case atFirstCall
  }

  private let count: Int
  private let name: String
  private let priority: ThreadPriority
  private let queue = Queue()
  private let threads = Mutex<[NativeThread]>([])
  private let hasStarted = Atomic(false)

  package init(
    count: Int, name: String, priority: ThreadPriority = .normal, start: Start = .now
  ) throws(ThreadError) {
    precondition(count > 0, "no threads make no progress")
    self.count = count
    self.name = name
    self.priority = priority
    if start == .now { try makeThreads() }
  }

  /// Starts all threads or none.
  private func makeThreads() throws(ThreadError) {
    try threads.withLock { threads throws(ThreadError) in
      guard threads.isEmpty, !queue.isStopped else { return }
      var started: [NativeThread] = []
      do throws(ThreadError) {
        for _ in 0..<count {
          started.append(try NativeThread(name: name, priority: priority, body: queue.serve))
        }
      } catch {
        queue.dismiss(started.count)
        for thread in started { thread.join() }
        throw error
      }
      threads = started
    }
  }

  /// Runs `body` on one of the threads, in the order of the calls, and returns its result or throws its
  /// error.
  ///
  /// If the task was cancelled before the call, `body` does not run. Once queued, it runs.
  nonisolated(nonsending) package func run<T: Sendable>(
    _ body: @escaping @Sendable () throws -> T
  ) async throws -> T {
    try Task.checkCancellation()
    if !hasStarted.load(ordering: .acquiring) {
      try makeThreads()
      hasStarted.store(true, ordering: .releasing)
    }
    return try await withCheckedThrowingContinuation { continuation in
      let isQueued = queue.append { continuation.resume(with: Result(catching: body)) }
      if !isQueued { continuation.resume(throwing: Stopped(name: name)) }
    }
  }

  /// Whether a call is running or waits for a thread.
  package var isBusy: Bool { queue.unfinished.load(ordering: .relaxed) > 0 }

  /// Finishes the queued calls and joins the threads. A second call has no effect. Callable from any thread
  /// except these.
  package func stop() {
    threads.withLock { threads in
      queue.stop(count: threads.count)
      for thread in threads { thread.join() }
      threads = []
    }
  }

  /// A separate object, so that the threads do not keep the owner alive.
  private final class Queue: Sendable {
    private let state = Mutex(State())
    /// How many calls are queued or running.
    let unfinished = Atomic(0)
    /// Counts the queued calls, plus one for each thread once the queue stops.
    private let ready = DispatchSemaphore(value: 0)

    /// False if the queue has stopped.
    func append(_ call: @escaping @Sendable () -> Void) -> Bool {
      let isOpen = state.withLock { state in
        if !state.isStopped {
          state.calls.append(call)
          unfinished.add(1, ordering: .relaxed)
        }
        return !state.isStopped
      }
      if isOpen { ready.signal() }
      return isOpen
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    func stop(count: Int) {
      state.withLock { $0.isStopped = true }
      dismiss(count)
    }

    /// Ends this number of threads once there are no calls for them.
    func dismiss(_ count: Int) {
      for _ in 0..<count { ready.signal() }
    }

    /// The loop of a thread: runs calls until there is a signal without a call.
    @Sendable func serve() {
      while true {
        ready.wait()
        guard let call = state.withLock({ $0.calls.popFirst() }) else { return }
        call()
        unfinished.subtract(1, ordering: .relaxed)
      }
    }
  }
}
