import Synchronization
import TestSupport
import TestSupport
import Testing
import Transfers

/// What happened, in order.
private final class Notes: Sendable {
  private let notes = Mutex<[String]>([])

  var all: [String] { notes.withLock { $0 } }

  func add(_ note: String) { notes.withLock { $0.append(note) } }
}

@Suite struct FairSemaphoreTests {
  @Test func `what is taken is given back, thrown or not`() async throws {
    let semaphore = FairSemaphore(capacity: 10)
    try await semaphore.withPermit(4) { #expect(semaphore.available == 6) }
    await #expect(throws: CancellationError.self) {
      try await semaphore.withPermit(10) { throw CancellationError() }
    }
    #expect(semaphore.available == 10)
  }

  @Test func `more than the capacity takes all of it`() async throws {
    let semaphore = FairSemaphore(capacity: 3)
    try await semaphore.withPermit(.max) { #expect(semaphore.available == 0) }
    #expect(semaphore.available == 3)
  }

  @Test func `a large request is not overtaken by small ones behind it`() async throws {
    let semaphore = FairSemaphore(capacity: 2)
    let order = Notes()
    let (held, release) = (Latch(), Latch())
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await semaphore.withPermit(1) {
          await held.open()
          await release.wait()
        }
      }
      await held.wait()
      for (index, (name, amount)) in [("large", Int64(2)), ("small", 1), ("smaller", 1)].enumerated() {
        group.addTask { try await semaphore.withPermit(amount) { order.add(name) } }
        try await eventually("it waits in the line") { semaphore.waiterCount == index + 1 }
      }
      // One is free all the while; the small ones wait all the same.
      #expect(semaphore.available == 1)
      await release.open()
      try await group.waitForAll()
    }
    #expect(order.all.first == "large")
    #expect(order.all.count == 3)
    #expect(semaphore.available == 2)
  }

  @Test func `who is cancelled while waiting leaves, and what waited behind goes on`() async throws {
    let semaphore = FairSemaphore(capacity: 2)
    let (held, release) = (Latch(), Latch())
    let holder = Task {
      try await semaphore.withPermit(1) {
        await held.open()
        await release.wait()
      }
    }
    await held.wait()
    let large = Task { try await semaphore.withPermit(2) { Issue.record("it was cancelled") } }
    try await eventually("the large one waits") { semaphore.waiterCount == 1 }
    let small = Task { try await semaphore.withPermit(1) { true } }
    try await eventually("the small one waits too") { semaphore.waiterCount == 2 }
    large.cancel()
    await #expect(throws: CancellationError.self) { try await large.value }
    // The holder has not let go yet: the second place was free all along.
    #expect(try await small.value)
    await release.open()
    try await holder.value
    #expect(semaphore.available == 2)
    #expect(semaphore.waiterCount == 0)
  }

  @Test func `a task that was cancelled before takes nothing that it does not give back`() async throws {
    let semaphore = FairSemaphore(capacity: 1)
    for _ in 0..<100 {
      let task = Task { try await semaphore.withPermit { await Task.yield() } }
      task.cancel()
      _ = await task.result
    }
    #expect(semaphore.available == 1)
    #expect(semaphore.waiterCount == 0)
    #expect(try await semaphore.withPermit { 7 } == 7)
  }

  /// What waits and what is held when as many ask as there is room for.
  private func held(_ use: FairSemaphore.Use, of count: Int, capacity: Int64) async throws -> Int64 {
    let semaphore = FairSemaphore(capacity: capacity, pauses: .yielding)
    let release = Latch()
    return try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<count {
        group.addTask { try await semaphore.withPermit(for: use) { await release.wait() } }
      }
      try await eventually("each one holds or waits") {
        semaphore.waiterCount + Int(capacity - semaphore.available) == count
      }
      let taken = capacity - semaphore.available
      await release.open()
      try await group.waitForAll()
      return taken
    }
  }

  @Test(.promise("XFER-11"), arguments: [(1, 1), (2, 1), (4, 3), (10, 8), (20, 16)])
  func `a share is kept from parts of files`(capacity: Int64, parts: Int64) async throws {
    #expect(try await held(.part, of: 40, capacity: capacity) == parts)
    #expect(try await held(.whole, of: 40, capacity: capacity) == capacity)
    // What an earlier pass has left counts as much.
    let again = try await FairSemaphore.$firstUse.withValue(.part) {
      try await held(.whole, of: 40, capacity: capacity)
    }
    #expect(again == parts)
  }

  @Test(.promise("XFER-13"))
  func `a large number that is measured is for whole files, not for parts`() async throws {
    let semaphore = FairSemaphore(capacity: 256, pauses: .yielding, limit: .measured)
    let release = Latch()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<300 { group.addTask { try await semaphore.withPermit { await release.wait() } } }
      try await eventually("each one holds or waits") {
        semaphore.waiterCount + Int(256 - semaphore.available) == 300
      }
      // Each request takes 50 ms, however many there are.
      var now: Int64 = 0
      while semaphore.limit < 256, now < 60_000_000_000 {
        now += 50_000_000 / semaphore.limit
        _ = semaphore.succeed(byteCount: 4_096, at: now)
      }
      await release.open()
      try await group.waitForAll()
    }
    #expect(semaphore.limit == 256)
    let again = Latch()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<300 { group.addTask { try await semaphore.withPermit(for: .part) { await again.wait() } } }
      try await eventually("each one holds or waits") {
        semaphore.waiterCount + Int(256 - semaphore.available) == 300
      }
      #expect(semaphore.available == 256 - 64)
      await again.open()
      try await group.waitForAll()
    }
    #expect(semaphore.partsUnderWay == 80)
    #expect(FairSemaphore(capacity: 200).partsUnderWay == 200)
  }

  @Test(.promise("XFER-11"))
  func `what has failed before has half of it at the most`() async throws {
    #expect(try await held(.retry, of: 40, capacity: 10) == 5)
    #expect(try await held(.retry, of: 40, capacity: 1) == 1)
  }

  @Test func `a permit that is taken again after a pause is one for what has failed`() async throws {
    let semaphore = FairSemaphore(capacity: 2, pauses: .yielding)
    let (paused, goOn, held, release) = (Latch(), Latch(), Latch(), Latch())
    async let first: Void = semaphore.withPermit {
      try await FairSemaphore.yieldingPermit {
        await paused.open()
        await goOn.wait()
      }
      await held.open()
      await release.wait()
    }
    await paused.wait()
    #expect(semaphore.available == 2)
    await goOn.open()
    await held.wait()
    // One of two is for those that have failed, and it is taken.
    async let second: Void = semaphore.withPermit(for: .retry) {}
    try await eventually("the other waits") { semaphore.waiterCount == 1 }
    try await semaphore.withPermit { #expect(semaphore.available == 0) }
    await release.open()
    try await first
    try await second
    #expect(semaphore.available == 2)
  }
}
