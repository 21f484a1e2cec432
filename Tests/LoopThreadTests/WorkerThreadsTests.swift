import Dispatch
import Foundation
import Glibc
import LoopThread
import Synchronization
import Testing

@Suite struct WorkerThreadsTests {
  @Test func `a call runs on a named thread and returns its value`() async throws {
    let workers = try WorkerThreads(count: 1, name: "a-name-of-20-bytes.")
    let name = try await workers.run { currentThreadName() }
    #expect(name == "a-name-of-20-by")
    workers.stop()
  }

  @Test func `what a call throws reaches the caller`() async throws {
    struct Failure: Error {}
    let workers = try WorkerThreads(count: 1, name: "workers")
    await #expect(throws: Failure.self) { try await workers.run { throw Failure() } }
    workers.stop()
  }

  @Test func `as many calls as threads run at once, and no more`() async throws {
    let workers = try WorkerThreads(count: 3, name: "workers")
    let running = Counter()
    let peak = Counter()
    let entered = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    try await withThrowingTaskGroup { group in
      for _ in 0..<9 {
        group.addTask {
          try await workers.run {
            peak.value.max(running.value.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
            entered.signal()
            gate.wait()
            running.value.subtract(1, ordering: .relaxed)
          }
        }
      }
      for _ in 0..<3 { await wait(for: entered) }
      #expect(running.value.load(ordering: .relaxed) == 3)
      for _ in 0..<9 { gate.signal() }
      try await group.waitForAll()
    }
    #expect(peak.value.load(ordering: .relaxed) == 3)
    workers.stop()
  }

  @Test func `threads that nobody has called do not exist`() async throws {
    let workers = try WorkerThreads(count: 2, name: "s3m-lazy", start: .atFirstCall)
    #expect(try threadCount(named: "s3m-lazy") == 0)
    _ = try await workers.run { currentThreadName() }
    // Each gives itself its name when it begins to run.
    let both = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    try await withThrowingTaskGroup { group in
      for _ in 0..<2 {
        group.addTask {
          try await workers.run {
            both.signal()
            gate.wait()
          }
        }
      }
      for _ in 0..<2 { await wait(for: both) }
      #expect(try threadCount(named: "s3m-lazy") == 2)
      for _ in 0..<2 { gate.signal() }
      try await group.waitForAll()
    }
    workers.stop()
    await #expect(throws: WorkerThreads.Stopped.self) { try await workers.run {} }
  }

  @Test func `threads that were stopped before the first call are never made`() async throws {
    let workers = try WorkerThreads(count: 2, name: "workers", start: .atFirstCall)
    workers.stop()
    await #expect(throws: WorkerThreads.Stopped.self) { try await workers.run {} }
  }

  @Test func `stop finishes what is queued`() async throws {
    let workers = try WorkerThreads(count: 1, name: "workers")
    let entered = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let done = Counter()
    let first = Task.immediate {
      try await workers.run {
        entered.signal()
        gate.wait()
      }
    }
    await wait(for: entered)
    let rest = (0..<5).map { _ in
      Task.immediate { try await workers.run { _ = done.value.add(1, ordering: .relaxed) } }
    }
    gate.signal()
    workers.stop()
    #expect(done.value.load(ordering: .relaxed) == 5)
    try await first.value
    for task in rest { try await task.value }
  }

  @Test func `threads of low priority let others go first, and those of normal priority do not`() async throws
  {
    let (normal, low) = (
      try WorkerThreads(count: 1, name: "normal"), try WorkerThreads(count: 1, name: "low", priority: .low)
    )
    let inherited = niceness()
    #expect(try await normal.run { niceness() } == inherited)
    #expect(try await low.run { niceness() } == max(inherited, ThreadPriority.lowNiceness))
    normal.stop()
    low.stop()
  }

  @Test func `a call after stop is refused`() async throws {
    let workers = try WorkerThreads(count: 2, name: "workers")
    workers.stop()
    workers.stop()
    await #expect(throws: WorkerThreads.Stopped.self) { try await workers.run {} }
  }

  @Test func `a cancelled task does not make its call`() async throws {
    let workers = try WorkerThreads(count: 1, name: "workers")
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await workers.run { _ = Issue.record("the call ran") }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    workers.stop()
  }
}

/// The calling thread's own, on Linux (getpriority(2)).
private func niceness() -> Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }
