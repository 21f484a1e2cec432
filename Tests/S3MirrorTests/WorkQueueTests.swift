import Glibc
import LoopThread
import Synchronization
import Testing

@testable import S3Mirror

@Suite struct WorkQueueTests {
  private struct Progress: Sendable {
    var done: [Int] = []
    var running = 0
    var most = 0

    mutating func begin() {
      running += 1
      most = max(most, running)
    }

    mutating func end(_ number: Int) {
      running -= 1
      done.append(number)
    }
  }

  @Test func `each element is processed once, and no more at a time than the width`() async {
    let queue = WorkQueue<Int>(capacity: 4)
    let progress = Tally(Progress())
    async let work: Void = queue.workOff(width: { 3 }) { number in
      progress.note { $0.begin() }
      await Task.yield()
      progress.note { $0.end(number) }
    }
    for number in 0..<1_000 { await queue.add(number) }
    queue.finish()
    await work
    #expect(progress.sum.done.sorted() == Array(0..<1_000))
    #expect((1...3).contains(progress.sum.most))
  }

  @Test func `the number at a time follows a width that changes`() async {
    let queue = WorkQueue<Int>(of: Array(0..<3_000))
    let progress = Tally(Progress())
    let width = Tally(2)
    await queue.workOff(width: { width.sum }) { number in
      if number == 1_000 || number == 2_000 {
        #expect(progress.sum.most <= (number == 1_000 ? 2 : 9))
        if number == 1_000 { width.note { $0 = 9 } }
        if number == 2_000 { width.note { $0 = 3 } }
      }
      // The places above the width end with the elements that they have.
      if number == 2_100 { progress.note { $0.most = 0 } }
      progress.note { $0.begin() }
      for _ in 0..<4 { await Task.yield() }
      progress.note { $0.end(number) }
      if number == 1_900 { #expect(progress.sum.most > 2) }
    }
    #expect(progress.sum.done.sorted() == Array(0..<3_000))
    #expect(progress.sum.most <= 3)
  }

  @Test func `the sender is at most a fixed number of elements ahead`() async {
    let queue = WorkQueue<Int>(capacity: 4)
    let begun = Tally(0)
    async let work: Void = queue.workOff(width: { 2 }) { _ in
      begun.note { $0 += 1 }
      await Task.yield()
    }
    for number in 1...500 {
      await queue.add(number)
      // What is neither begun nor waiting in the queue is in a worker's hand.
      #expect(number - begun.sum <= 4 + 2)
    }
    queue.finish()
    await work
    #expect(begun.sum == 500)
  }

  @Test func `waiting workers end when the queue is finished`() async {
    let queue = WorkQueue<Int>(capacity: 1)
    let done = Tally(0)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await queue.workOff(width: { 8 }) { _ in done.note { $0 += 1 } } }
      // By then workers wait, as a rule; the outcome must be the same where they do not.
      for _ in 0..<20 { await Task.yield() }
      await queue.add(1)
      queue.finish()
    }
    #expect(done.sum == 1)
  }

  @Test func `an empty queue ends at once`() async {
    await WorkQueue<Int>(of: []).workOff(width: { 0 }) { _ in Issue.record("there is nothing") }
    #expect(await concurrentEach([Int](), width: 5) { $0 }.isEmpty)
  }

  @Test func `the tasks run on the executors in turn`() async throws {
    let threads = try (0..<2).map { try TaskThreads(count: 1, name: "s3m-turn-\($0)") }
    let found = await concurrentEach(0..<4, width: 4, on: threads) { _ in
      withUnsafeCurrentTask { task in
        threads.map { task?.unownedTaskExecutor == $0.asUnownedTaskExecutor() }
      }
    }
    // Which task takes how many is up to them; each is on one of the two.
    #expect(found.count == 4)
    #expect(found.allSatisfy { $0 == [true, false] || $0 == [false, true] })
  }

  @Test func `every result is returned`() async {
    let results = await concurrentEach(0..<100, width: 7) { number in
      await Task.yield()
      return number * number
    }
    #expect(results.sorted() == (0..<100).map { $0 * $0 })
  }

  /// What ran on the runtime's pool would bring it to life, and it never rests again.
  @Test func `without executors the work runs on the caller's threads`() async throws {
    let threads = try TaskThreads(count: 1, name: "caller")
    let places = await Task(executorPreference: threads) {
      let place = pthread_self()
      return await concurrentEach(0..<8, width: 4) { _ in
        await Task.yield()
        return pthread_self() == place
      }
    }.value
    #expect(places == Array(repeating: true, count: 8))
  }
}
