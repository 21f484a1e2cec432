import Dispatch
import Foundation
import LoopThread
import Synchronization
import Testing

@Suite struct TaskThreadsTests {
  @Test func `a task, its children and what it starts on them run on the threads`() async throws {
    let names = try await onThreads(TaskThreads(count: 2, name: "s3m-test")) {
      async let child = currentThreadName()
      let started = Task(executorPreference: TaskThreads.current) { currentThreadName() }
      return [currentThreadName(), await child, await started.value]
    }
    #expect(names == ["s3m-test", "s3m-test", "s3m-test"])
  }

  @Test func `a default actor that such a task calls runs there too`() async throws {
    actor Reporter {
      func name() -> String { currentThreadName() }
    }
    let name = try await onThreads(TaskThreads(count: 1, name: "s3m-actor")) { await Reporter().name() }
    #expect(name == "s3m-actor")
  }

  @Test func `a burst of tasks is done, on no more threads than allowed`() async throws {
    let threads = try TaskThreads(count: 3, name: "s3m-burst")
    let done = await onThreads(threads) {
      await withTaskGroup(of: Int.self) { group in
        for number in 0..<5_000 {
          group.addTask {
            await Task.yield()
            return number
          }
        }
        return await group.reduce(0, +)
      }
    }
    #expect(done == (0..<5_000).reduce(0, +))
    #expect(try (1...3).contains(threadCount(named: "s3m-burst")))
  }

  @Test func `as many blocking jobs as threads run at once`() async throws {
    let threads = try TaskThreads(count: 3, name: "s3m-wide")
    let entered = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let tasks = (0..<3).map { _ in
      Task(executorPreference: threads) {
        entered.signal()
        block(until: gate)
      }
    }
    // One after the other would never get here.
    for _ in tasks { await wait(for: entered) }
    for _ in tasks { gate.signal() }
    for task in tasks { await task.value }
  }

  @Test func `pauses end at their deadlines, the earliest first`() async throws {
    let order = try await onThreads(TaskThreads(count: 1, name: "s3m-test")) {
      let start = ContinuousClock.now
      return await withTaskGroup(of: (Int, Bool).self) { group in
        for milliseconds in [30, 1, 20, 10, 40] {
          let deadline = start + .milliseconds(milliseconds)
          group.addTask {
            do {
              try await TaskThreads.pause(until: deadline)
            } catch {
              Issue.record("\(error)")
            }
            return (milliseconds, deadline <= .now)
          }
        }
        var order: [Int] = []
        for await (milliseconds, isRested) in group {
          #expect(isRested)
          order.append(milliseconds)
        }
        return order
      }
    }
    #expect(order == [1, 10, 20, 30, 40])
  }

  @Test func `an earlier pause than the one that a thread waits for is not late`() async throws {
    let threads = try TaskThreads(count: 2, name: "s3m-test")
    try await onThreads(threads) {
      let long = Task(executorPreference: threads) { try await TaskThreads.pause(for: .seconds(3600)) }
      try await TaskThreads.pause(for: .milliseconds(5))
      try await TaskThreads.pause(for: .milliseconds(1))
      long.cancel()
      await #expect(throws: CancellationError.self) { try await long.value }
    }.get()
  }

  @Test func `a pause ends when its task is cancelled, and does not begin when it was before`() async throws {
    try await onThreads(TaskThreads(count: 2, name: "s3m-test")) {
      let begun = Task(executorPreference: TaskThreads.current) {
        try await TaskThreads.pause(for: .seconds(3600))
      }
      let cancelled = Task(executorPreference: TaskThreads.current) {
        withUnsafeCurrentTask { $0?.cancel() }
        try await TaskThreads.pause(for: .seconds(3600))
      }
      begun.cancel()
      await #expect(throws: CancellationError.self) { try await begun.value }
      await #expect(throws: CancellationError.self) { try await cancelled.value }
    }
  }

  @Test func `a pause that is over already returns, and where there are no such threads the runtime pauses`()
    async throws
  {
    #expect(TaskThreads.current == nil)
    try await TaskThreads.pause(for: .milliseconds(1))
    try await TaskThreads.Clock().sleep(for: .milliseconds(1))
    try await onThreads(TaskThreads(count: 1, name: "s3m-test")) {
      try await TaskThreads.pause(until: .now - .seconds(1))
      try await TaskThreads.Clock().sleep(for: .zero)
    }.get()
  }

  @Test func `many pauses and jobs at a time lose nobody`() async throws {
    let rested = try await onThreads(TaskThreads(count: 2, name: "s3m-test")) {
      await withTaskGroup(of: Int.self) { group in
        for number in 0..<400 {
          group.addTask {
            for step in 0..<5 {
              do {
                try await TaskThreads.pause(for: .microseconds((number * 7 + step * 131) % 900))
              } catch {
                return 0
              }
            }
            return 1
          }
        }
        return await group.reduce(0, +)
      }
    }
    #expect(rested == 400)
  }

  /// Without the cooperative pool's thread being blocked meanwhile.
  private func onThreads<Value: Sendable>(
    _ threads: TaskThreads, _ body: @escaping @Sendable () async -> Value
  ) async -> Value {
    await withCheckedContinuation { continuation in
      DispatchQueue(label: "threads").async { continuation.resume(returning: threads.run(body)) }
    }
  }

  private func onThreads<Value: Sendable>(
    _ threads: TaskThreads, _ body: @escaping @Sendable () async throws -> Value
  ) async -> Result<Value, any Error> {
    await onThreads(threads) {
      do {
        return .success(try await body())
      } catch {
        return .failure(error)
      }
    }
  }
}

/// Blocks the thread that the task runs on, as a slow system call does.
func block(until gate: DispatchSemaphore) {
  gate.wait()
}

/// Of this process: proc(5), /proc/self/task.
func threadCount(named name: String) throws -> Int {
  let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
  return tasks.count { task in
    // A thread may end meanwhile.
    let comm = FileManager.default.contents(atPath: "/proc/self/task/\(task)/comm")
    return comm.map { String(decoding: $0, as: UTF8.self) } == name + "\n"
  }
}
