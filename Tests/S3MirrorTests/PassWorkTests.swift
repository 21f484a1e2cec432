import MirrorModel
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// How many files of a pass are in work at one time.
@Suite struct PassWorkTests {
  private static let paths = (0..<40).map { RelativePath("data/\($0)") }

  @Test func `files in work follow the number of requests, up and down`() async throws {
    let width = Mutex(2)
    let gate = Gate()
    let plan = PassPlan(
      DirtySet.Batch(
        entries: Dictionary(uniqueKeysWithValues: Self.paths.map { ($0, DirtyEntry(at: StillClock().now)) })),
      order: try CommitOrder(commitLast: []), removal: .never, within: PassPlan.Surroundings())
    let work = PassWork(
      plan, after: PassOutcome(summary: PassSummary(name: "", kind: .tick, number: 0)),
      width: { width.withLock { $0 } }, on: [], clock: StillClock(),
      until: nil
    ) { path, _, _ in
      await gate.pass()
      return .published(bytes: 1, by: .upload)
    } held: { _ in
      .waiting(.heldBack)
    }
    async let ended = work.carryOut()
    try await gate.waitForWaiters(2)
    // One end lets the other places begin.
    width.withLock { $0 = 6 }
    gate.open(1)
    try await gate.waitForWaiters(6)
    width.withLock { $0 = 3 }
    // The places that are too many end with their files.
    gate.open(6)
    try await gate.waitForWaiters(3)
    gate.open(3)
    try await gate.waitForWaiters(3)
    gate.openForGood()
    let (_, outcome) = await ended
    #expect(outcome.summary.published == Self.paths.count)
    #expect(gate.most == 6)
  }
}

/// No publication becomes a long one.
private struct StillClock: LaneClock {
  let now = Instant(nanoseconds: 0)

  func wait(for bell: Doorbell, until deadline: Instant?) async { await bell.wait(until: nil) }
}

/// Lets tasks pass one by one.
private final class Gate: Sendable {
  private struct State {
    var waiters: [CheckedContinuation<Void, Never>] = []
    var isOpen = false
    var most = 0
  }

  private let state = Mutex(State())

  /// The largest number of tasks that have waited at one time.
  var most: Int { state.withLock { $0.most } }

  func pass() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiters.append(continuation) }
        state.most = max(state.most, state.waiters.count)
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }

  /// Waits until exactly so many tasks wait, and no other comes.
  func waitForWaiters(_ count: Int) async throws {
    try await eventually("\(count) files are in work") { self.state.withLock { $0.waiters.count } == count }
    for _ in 0..<50 { await Task.yield() }
    #expect(state.withLock { $0.waiters.count } == count)
  }

  func open(_ count: Int) {
    let passing = state.withLock { state in
      defer { state.waiters.removeFirst(count) }
      return Array(state.waiters.prefix(count))
    }
    for waiter in passing { waiter.resume() }
  }

  func openForGood() {
    let passing = state.withLock { state in
      state.isOpen = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in passing { waiter.resume() }
  }
}
