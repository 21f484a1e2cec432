import DequeModule
import Synchronization

/// A counted resource that tasks wait for in the order they came: request slots, or bytes of memory.
///
/// A large request is never overtaken by smaller ones of its kind behind it, so it cannot starve.
///
/// A share is kept for what is asked for the first time: neither the parts of large files nor what has failed before may have all of it,
/// so a small file finds a slot however many of those there are.
package final class FairSemaphore: Sendable {
  /// What a permit is for.
  package enum Use: Sendable, CaseIterable {
    /// Something whole, for the first time.
    case whole
    /// One of many requests for one file, or a request that may stay unanswered for minutes.
    case part
    /// What has failed before.
    case retry
  }

  /// What whole requests of this task count as: what failed in an earlier pass is not asked for the first time.
  @TaskLocal package static var firstUse = Use.whole

  private struct Waiter {
    let id: UInt64
    let amount: Int64
    let use: Use
    let continuation: CheckedContinuation<Bool, Never>
  }

  /// A value for each use.
  private struct ByUse<Value> {
    var whole: Value
    var part: Value
    var retry: Value

    init(_ value: Value) { (whole, part, retry) = (value, value, value) }

    subscript(use: Use) -> Value {
      get {
        switch use {
        case .whole: whole
        case .part: part
        case .retry: retry
        }
      }
      _modify {
        switch use {
        case .whole: yield &whole
        case .part: yield &part
        case .retry: yield &retry
        }
      }
    }
  }

  private struct State {
    var held = ByUse<Int64>(0)
    var limit: ConcurrencyLimit
    /// Each in the order of their coming.
    var waiters = ByUse<Deque<Waiter>>([])
    var waiterCount = 0
    var nextID: UInt64 = 0
    /// Waiters that were cancelled before they began to wait.
    var cancelled: Set<UInt64> = []

    var heldInAll: Int64 { held.whole + held.part + held.retry }

    /// A fifth, at least one, of what may be held at the moment; nothing where only one may.
    var share: Int64 { limit.current > 1 ? max(1, limit.current / 5) : 0 }

    /// What is more than the limit of the moment goes alone.
    func hasRoom(for amount: Int64, _ use: Use) -> Bool {
      let all = heldInAll
      guard all == 0 || all + amount <= limit.current else { return false }
      if use == .whole { return true }
      let others = held.part + held.retry
      guard others == 0 || others + amount <= limit.current - share else { return false }
      let retries = held.retry
      return use == .part || retries == 0 || retries + amount <= limit.current / 2
    }

    /// What nobody has to wait for.
    mutating func take(_ amount: Int64, _ use: Use) -> Bool {
      guard waiters[use].isEmpty, hasRoom(for: amount, use) else { return false }
      held[use] += amount
      return true
    }

    mutating func takeReady() -> [Waiter] {
      var ready: [Waiter] = []
      while waiterCount > 0, let next = nextReady() {
        held[next.use] += next.amount
        waiters[next.use].removeFirst()
        waiterCount -= 1
        ready.append(next)
      }
      return ready
    }

    /// Who came first of those for whom there is room.
    private func nextReady() -> Waiter? {
      var next: Waiter?
      for use in Use.allCases {
        guard let first = waiters[use].first, hasRoom(for: first.amount, use) else { continue }
        if let known = next, known.id < first.id { continue }
        next = first
      }
      return next
    }

    mutating func wait(_ waiter: Waiter) {
      waiters[waiter.use].append(waiter)
      waiterCount += 1
    }

    mutating func leave(_ id: UInt64, _ use: Use) -> Waiter? {
      guard let index = waiters[use].firstIndex(where: { $0.id == id }) else { return nil }
      waiterCount -= 1
      return waiters[use].remove(at: index)
    }
  }

  /// What becomes of a permit while its holder waits before it tries again.
  package enum Pauses: Sendable {
    /// The resource is in use all the while: memory that is filled.
    case holding
    /// Others may have it: a slot for requests, when none is sent.
    case yielding
  }

  package let capacity: Int64
  private let pauses: Pauses
  private let state: Mutex<State>

  package init(capacity: Int64, pauses: Pauses = .holding) {
    self.capacity = max(1, capacity)
    self.pauses = pauses
    state = Mutex(State(limit: ConcurrencyLimit(maximum: max(1, capacity))))
  }

  /// What is not held now; for tests and status.
  package var available: Int64 { state.withLock { capacity - $0.heldInAll } }

  /// What may be held at the moment; less than the capacity after `slowDown`.
  package var limit: Int64 { state.withLock { $0.limit.current } }

  /// Tasks that wait now; for tests and status.
  package var waiterCount: Int { state.withLock { $0.waiterCount } }

  /// Runs `body` while holding `amount` (at most the capacity).
  ///
  /// - Throws: `CancellationError` when cancelled while waiting; what `body` throws.
  package func withPermit<Result: Sendable>(
    _ amount: Int64 = 1, for use: Use = .whole, _ body: () async throws -> Result
  ) async throws -> Result {
    let use = use == .whole ? Self.firstUse : use
    let taken = min(max(amount, 0), capacity)
    try Task.checkCancellation()
    if !state.withLock({ $0.take(taken, use) }) { try await acquire(taken, use) }
    let permit = Permit(of: self, amount: taken, for: use)
    defer { permit.giveBack() }
    if pauses == .holding { return try await body() }
    return try await Permit.$current.withValue(permit) { try await body() }
  }

  /// What a task holds.
  private final class Permit: Sendable {
    /// The permit of the innermost `withPermit` around the task, of a semaphore that yields.
    @TaskLocal static var current: Permit?

    private let semaphore: FairSemaphore
    private let amount: Int64
    private let isHeld = Atomic<Bool>(true)
    private let isRetry: Atomic<Bool>
    private let firstUse: Use

    init(of semaphore: FairSemaphore, amount: Int64, for use: Use) {
      self.semaphore = semaphore
      self.amount = amount
      firstUse = use
      isRetry = Atomic(use == .retry)
    }

    /// - Returns: whether there was something to give back: of tasks that pause under one permit the first one gives it back.
    @discardableResult
    func giveBack() -> Bool {
      guard isHeld.exchange(false, ordering: .relaxed) else { return false }
      let use = isRetry.load(ordering: .relaxed) ? .retry : firstUse
      semaphore.change { $0.held[use] -= amount }
      return true
    }

    func takeAgain() async throws {
      let isTaken = semaphore.state.withLock { $0.take(amount, .retry) }
      if !isTaken { try await semaphore.acquire(amount, .retry) }
      isRetry.store(true, ordering: .relaxed)
      isHeld.store(true, ordering: .relaxed)
    }
  }

  /// Runs a pause while the caller's permit is free for others, and takes it again afterwards, as one for what has failed before.
  ///
  /// - Throws: what `pause` throws; `CancellationError` when cancelled while waiting for the permit.
  package static func yieldingPermit(_ pause: () async throws -> Void) async throws {
    guard let permit = Permit.current, permit.giveBack() else { return try await pause() }
    try await pause()
    try await permit.takeAgain()
  }

  // MARK: Pressure

  /// The server asks for less: halves what may be held. What is held now stays held.
  ///
  /// - Parameter now: nanoseconds of a clock that never goes back.
  package func slowDown(at now: Int64) {
    change { $0.limit.slowDown(at: now) }
  }

  /// A request that worked: after as many as may be held, one more may.
  package func succeed() {
    change { $0.limit.succeed() }
  }

  // MARK: Waiting

  private func acquire(_ amount: Int64, _ use: Use) async throws {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    let isGranted = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.cancelled.remove(id) != nil { return false }
          if state.take(amount, use) { return true }
          state.wait(Waiter(id: id, amount: amount, use: use, continuation: continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter: Waiter? = state.withLock { state in
        let waiter = state.leave(id, use)
        if waiter == nil { state.cancelled.insert(id) }
        return waiter
      }
      waiter?.continuation.resume(returning: false)
      // What the one who left was in the way of may fit now.
      change { _ in }
    }
    state.withLock { _ = $0.cancelled.remove(id) }
    guard isGranted else { throw CancellationError() }
  }

  private func change(_ body: (inout State) -> Void) {
    let ready = state.withLock { state in
      body(&state)
      return state.takeReady()
    }
    for waiter in ready { waiter.continuation.resume(returning: true) }
  }
}
