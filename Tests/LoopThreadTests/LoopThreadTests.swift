import Dispatch
import Glibc
import LoopThread
import Synchronization
import Testing

@Suite struct LoopThreadTests {
  @Test func `an actor runs on its loop's thread`() async throws {
    let probe = try Probe(name: "loop-test")
    let first = await probe.threadNumber()
    let second = await probe.threadNumber()
    #expect(first == second)
    #expect(await probe.threadName() == "loop-test")
    #expect(first != UInt(pthread_self()))
    probe.loop.stop()
  }

  @Test func `a turn follows each batch of jobs and is isolated to the actor`() async throws {
    let probe = try Probe()
    await probe.bump()
    await probe.awaitTurn()
    // The turn incremented actor state through `assumeIsolated`, which traps off the loop's thread.
    #expect(await probe.turns > 0)
    probe.loop.stop()
  }

  @Test func `a loop that waits is woken once for many jobs and turns`() async throws {
    let waiting = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let wakes = Counter()
    let isHeld = Counter()
    isHeld.value.store(1, ordering: .sequentiallyConsistent)
    let loop = LoopThread(name: "loop-test")
    try loop.start(
      turn: {},
      wait: {
        waiting.signal()
        gate.wait()
      },
      wake: {
        wakes.value.add(1, ordering: .relaxed)
        if isHeld.value.load(ordering: .sequentiallyConsistent) == 0 { gate.signal() }
      })
    await wait(for: waiting)
    let probe = Guest(loop: loop)
    let tasks = (0..<100).map { _ in Task.immediate { await probe.bump() } }
    loop.wakeUp()
    #expect(wakes.value.load(ordering: .relaxed) == 1)
    isHeld.value.store(0, ordering: .sequentiallyConsistent)
    gate.signal()
    for task in tasks { await task.value }
    loop.stop()
  }

  @Test func `a turn that is asked for during a turn follows it`() async throws {
    let turns = Counter()
    let second = DispatchSemaphore(value: 0)
    let wakeup = try Wakeup()
    let loop = LoopThread(name: "loop-test")
    try loop.start(
      turn: {
        if turns.value.add(1, ordering: .relaxed).newValue == 1 { loop.wakeUp() } else { second.signal() }
      }, wait: { waitAndDrain(wakeup) }, wake: { wakeup.signal() })
    await wait(for: second)
    loop.stop()
  }

  @Test func `a loop that is awake is not woken for jobs`() async throws {
    let probe = try Probe()
    let entered = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let blocker = Task { await probe.block(entered: entered, until: gate) }
    await wait(for: entered)
    let before = probe.wakes.load(ordering: .relaxed)
    // An immediate task runs here until it has enqueued its job on the loop.
    let tasks = (0..<100).map { _ in Task.immediate { await probe.bump() } }
    #expect(probe.wakes.load(ordering: .relaxed) == before)
    gate.signal()
    await blocker.value
    for task in tasks { await task.value }
    #expect(await probe.count == 100)
    probe.loop.stop()
  }

  @Test func `jobs of many tasks run one at a time`() async throws {
    let probe = try Probe()
    await withTaskGroup { group in
      for _ in 0..<1000 { group.addTask { await probe.bump() } }
    }
    #expect(await probe.count == 1000)
    probe.loop.stop()
  }

  @Test func `wakeUp brings a turn without a job`() async throws {
    let turned = DispatchSemaphore(value: 0)
    let wakeup = try Wakeup()
    let loop = LoopThread(name: "loop-test")
    let turns = Counter()
    try loop.start(
      turn: {
        turns.value.add(1, ordering: .relaxed)
        turned.signal()
      }, wait: { waitAndDrain(wakeup) }, wake: { wakeup.signal() })
    await wait(for: turned)
    loop.wakeUp()
    await wait(for: turned)
    #expect(turns.value.load(ordering: .relaxed) == 2)
    loop.stop()
  }

  @Test func `stop runs what is queued and joins`() async throws {
    let probe = try Probe()
    let entered = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let blocker = Task { await probe.block(entered: entered, until: gate) }
    await wait(for: entered)
    let tasks = (0..<10).map { _ in Task.immediate { await probe.bump() } }
    gate.signal()
    probe.loop.stop()
    #expect(probe.total.load(ordering: .relaxed) == 10)
    await blocker.value
    for task in tasks { await task.value }
  }

  @Test func `jobs after stop run one at a time and in isolation`() async throws {
    let probe = try Probe()
    probe.loop.stop()
    probe.loop.stop()
    await withTaskGroup { group in
      for _ in 0..<100 { group.addTask { await probe.bumpAssumingIsolation() } }
    }
    #expect(await probe.count == 100)
  }

  @Test func `a loop that was never started still runs its jobs once stopped`() async throws {
    let probe = try Probe(started: .no)
    let task = Task.immediate { await probe.bump() }
    probe.loop.stop()
    await task.value
    #expect(await probe.count == 1)
  }

  @Test func `a task on a loop has its work on the loop's thread, between the loop's own jobs`() async throws
  {
    let probe = try Probe(name: "loop-test")
    let tasks = LoopTasks(on: probe.loop)
    let names = await Task(executorPreference: tasks) {
      let before = currentThreadName()
      await probe.bump()
      async let child = currentThreadName()
      return [before, currentThreadName(), await child]
    }.value
    #expect(names == ["loop-test", "loop-test", "loop-test"])
    #expect(await probe.count == 1)
    #expect(!probe.loop.isCurrent)
    #expect(await Task(executorPreference: tasks) { probe.loop.isCurrent }.value)
    probe.loop.stop()
  }

  @Test func `a burst of jobs leaves room for turns`() async throws {
    let probe = try Probe()
    let entered = DispatchSemaphore(value: 0)
    let gate = DispatchSemaphore(value: 0)
    let blocker = Task { await probe.block(entered: entered, until: gate) }
    await wait(for: entered)
    let tasks = (0..<100).map { _ in Task.immediate { await probe.turnsSoFar() } }
    gate.signal()
    await blocker.value
    var seen: [Int: Int] = [:]
    for task in tasks { seen[await task.value, default: 0] += 1 }
    #expect(seen.values.allSatisfy { $0 <= 16 })
    probe.loop.stop()
  }

  @Test func `tasks on a loop that was stopped go on`() async throws {
    let probe = try Probe()
    probe.loop.stop()
    let sum = await Task(executorPreference: LoopTasks(on: probe.loop)) {
      await withTaskGroup(of: Int.self) { group in
        for number in 0..<100 { group.addTask { number } }
        return await group.reduce(0, +)
      }
    }.value
    #expect(sum == 4950)
  }

  @Test func `signals are blocked on the loop's thread, faults are not`() async throws {
    let probe = try Probe()
    #expect(await probe.isBlocked(SIGPIPE))
    #expect(await probe.isBlocked(SIGTERM))
    #expect(await probe.isBlocked(SIGSEGV) == false)
    probe.loop.stop()
  }
}

final class Counter: Sendable {
  let value = Atomic<Int>(0)
}

/// Polls the descriptor without end, as a loop with nothing else to watch.
func waitAndDrain(_ wakeup: Wakeup) {
  var descriptor = pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0)
  poll(&descriptor, 1, -1)
  wakeup.drain()
}

/// Awaits a semaphore without blocking a thread of the cooperative pool.
func wait(for semaphore: DispatchSemaphore) async {
  await withCheckedContinuation { continuation in
    // A queue of its own has a thread at once; the global one shares its few with the cooperative pool.
    DispatchQueue(label: "wait").async {
      semaphore.wait()
      continuation.resume()
    }
  }
}

/// An actor on a loop that is another's.
private actor Guest {
  private let loop: LoopThread
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(loop: LoopThread) { self.loop = loop }

  func bump() {}
}

private actor Probe {
  enum Start { case yes, no }

  nonisolated let loop: LoopThread
  nonisolated let wakes = Atomic<Int>(0)
  nonisolated let total = Atomic<Int>(0)
  private(set) var count = 0
  private(set) var turns = 0
  private var awaitingTurn: [CheckedContinuation<Void, Never>] = []

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(name: String = "probe", started: Start = .yes) throws {
    loop = LoopThread(name: name)
    let wakeup = try Wakeup()
    guard started == .yes else { return }
    try loop.start(
      turn: { self.assumeIsolated { $0.turn() } },
      wait: { waitAndDrain(wakeup) },
      wake: {
        self.wakes.add(1, ordering: .relaxed)
        wakeup.signal()
      })
  }

  private func turn() {
    turns += 1
    for continuation in awaitingTurn { continuation.resume() }
    awaitingTurn = []
  }

  func turnsSoFar() -> Int { turns }

  func awaitTurn() async {
    await withCheckedContinuation { awaitingTurn.append($0) }
  }

  func bump() {
    count += 1
    total.add(1, ordering: .relaxed)
  }

  /// As C callbacks do: without the compiler's knowledge of where they run.
  func bumpAssumingIsolation() {
    loop.checkIsolated()
    bump()
  }

  func threadNumber() -> UInt { UInt(pthread_self()) }

  func threadName() -> String { currentThreadName() }

  func block(entered: DispatchSemaphore, until gate: DispatchSemaphore) {
    entered.signal()
    gate.wait()
  }

  func isBlocked(_ signal: Int32) -> Bool {
    var mask = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &mask)
    return sigismember(&mask, signal) == 1
  }
}

/// The name as the kernel has it: proc(5), /proc/thread-self/comm.
func currentThreadName() -> String {
  let file = open("/proc/thread-self/comm", O_RDONLY)
  defer { close(file) }
  var bytes = [UInt8](repeating: 0, count: 32)
  let count = read(file, &bytes, bytes.count)
  return String(decoding: bytes.prefix(max(count - 1, 0)), as: UTF8.self)
}
