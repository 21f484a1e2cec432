import MirrorModel
import TestSupport
import Testing

@testable import S3Mirror

/// One upload's schedule between the watcher's thread and the lane's task.
@Suite struct LaneScheduleTests {
  private func schedule(interval: Duration?) -> LaneSchedule {
    LaneSchedule(policy: .init(interval: interval, settle: .zero))
  }

  @Test func `with interval 0 a closed change is a pass at once`() async throws {
    let schedule = schedule(interval: .zero)
    schedule.note([.closed("a")])
    guard case .pass(let pass, let flushes) = await schedule.next(fence: {}) else {
      Issue.record("no pass")
      return
    }
    #expect(pass.trigger == .tick)
    #expect(Array(pass.batch.entries.keys) == ["a"])
    #expect(flushes.isEmpty)
  }

  @Test func `an event that comes while the lane waits wakes it`() async throws {
    let schedule = schedule(interval: .zero)
    async let command = schedule.next(fence: {})
    schedule.note([.closed("a")])
    guard case .pass = await command else {
      Issue.record("no pass")
      return
    }
  }

  @Test func `a flush takes changes that the watch has not reported yet`() async throws {
    let schedule = schedule(interval: nil)
    async let outcome = schedule.flush()
    guard case .pass(let pass, let flushes) = await schedule.next(fence: { schedule.note([.closed("late")]) })
    else {
      Issue.record("no pass")
      return
    }
    #expect(pass.trigger == .flush)
    #expect(Array(pass.batch.entries.keys) == ["late"])
    let result = PassOutcome(summary: PassSummary(name: "x", kind: .flush, number: 1))
    for flush in flushes { flush.answer(result) }
    #expect(await outcome != nil)
  }

  @Test func `a flush of nothing is answered`() async throws {
    let schedule = schedule(interval: nil)
    async let outcome = schedule.flush()
    guard case .answer(let flushes) = await schedule.next(fence: {}) else {
      Issue.record("no answer")
      return
    }
    for flush in flushes { flush.answer(nil) }
    #expect(await outcome == nil)
  }

  @Test func `the end comes after the flushes that wait`() async throws {
    let schedule = schedule(interval: nil)
    async let outcome = schedule.flush()
    guard case .answer(let flushes) = await schedule.next(fence: {}) else {
      Issue.record("no answer")
      return
    }
    schedule.requestEnd()
    for flush in flushes { flush.answer(nil) }
    _ = await outcome
    guard case .end = await schedule.next(fence: {}) else {
      Issue.record("no end")
      return
    }
  }

  @Test func `a cancelled lane ends though something is due, and leaves flushes to the close`() async throws {
    let schedule = schedule(interval: .zero)
    schedule.note([.closed("a")])
    async let outcome = schedule.flush()
    try await eventually("a flush waits") { schedule.hasFlushes }
    let lane = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return await schedule.next(fence: { Issue.record("a cancelled lane began to answer a flush") })
    }
    guard case .end = await lane.value else {
      Issue.record("no end")
      schedule.close()
      return
    }
    #expect(schedule.hasFlushes)
    let result = PassOutcome(summary: PassSummary(name: "x", kind: .exit, number: 1))
    schedule.close(answering: result)
    #expect(await outcome != nil)
  }

  @Test(arguments: [Duration?.none, .zero, .seconds(3600)])
  func `a lane that is cancelled while it waits ends`(interval: Duration?) async throws {
    let schedule = schedule(interval: interval)
    let lane = Task { await schedule.next(fence: {}) }
    lane.cancel()
    guard case .end = await lane.value else {
      Issue.record("no end")
      return
    }
  }

  @Test(.promise("PUB-18"))
  func `a flush waits for a file that changed in flight, even if the flight ends during the flush's pass`()
    async throws
  {
    let schedule = schedule(interval: nil)
    schedule.adopt(.init())
    let result = PassOutcome(summary: PassSummary(name: "x", kind: .flush, number: 1))
    schedule.note([.closed("a")])
    async let first = schedule.flush()
    guard case .pass(let flying, let firstFlushes) = await schedule.next(fence: {}) else {
      Issue.record("no pass")
      return
    }
    schedule.depart(flying.batch.entries)
    schedule.finish(result)
    schedule.answer(firstFlushes, with: result)
    schedule.note([.closed("a"), .closed("b")])
    async let second = schedule.flush()
    guard case .pass(let pass, let flushes) = await schedule.next(fence: {}) else {
      Issue.record("no second pass")
      return
    }
    #expect(Array(pass.batch.entries.keys) == ["b"])
    schedule.land("a", result)
    schedule.finish(result)
    schedule.answer(flushes, with: result)
    #expect(await first != nil)
    // The second flush goes on, with a pass that takes the change.
    #expect(schedule.hasFlushes)
    #expect(schedule.drain().map { Array($0.batch.entries.keys) } == ["a"])
    schedule.close(answering: result)
    #expect(await second != nil)
  }

  @Test func `after the close a flush returns at once`() async throws {
    let schedule = schedule(interval: nil)
    schedule.close()
    #expect(await schedule.flush() == nil)
  }

  @Test func `the drain takes paths that ticks left, even open files`() {
    let schedule = schedule(interval: nil)
    schedule.note([.modified("open"), .closed("closed")])
    let paths = schedule.drain()?.batch.entries.keys.sorted()
    #expect(paths == ["closed", "open"])
  }

  @Test func `a marker waits for closed and unknown files below its directory`() {
    let schedule = schedule(interval: nil)
    // Until the comparison at entry has ended, it is not known which files were whole before.
    schedule.adopt(.init())
    schedule.note([.closed("d/data"), .modified("d/open"), .created("d/new"), .closed("other/data")])
    #expect(schedule.dirtyPaths(within: "d").sorted() == ["d/data", "d/new"])
  }

  @Test func `a path of the running pass counts as waiting until it is published`() throws {
    var schedule = UploadSchedule(policy: .init(interval: nil), startingAt: .now)
    schedule.adopt(.init(), at: .now)
    schedule.note([.closed("a"), .closed("b")], at: .now)
    #expect(Set(schedule.waiting) == ["a", "b"])
    let first = schedule.begin(.flush, at: .now)
    let pass = try #require(first)
    schedule.note([.closed("b"), .closed("c")], at: .now)
    #expect(Set(schedule.waiting) == ["a", "b", "c"])
    #expect(schedule.waiting.count == 3)
    var unpublished = DirtySet.Batch()
    unpublished.entries["a"] = pass.batch.entries["a"]
    schedule.finish(unpublished: unpublished, failed: ["a"], at: .now)
    #expect(Set(schedule.waiting) == ["a", "b", "c"])
    let second = schedule.begin(.flush, at: .now)
    #expect(second != nil)
    schedule.finish(unpublished: .init(), failed: [], at: .now)
    #expect(schedule.waiting.isEmpty)
  }
}
