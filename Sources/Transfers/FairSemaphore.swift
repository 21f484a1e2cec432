import DequeModule
import Synchronization

/// A counted resource that tasks wait for in the order they came: request slots, or bytes of memory.
///
/// A large request is never overtaken by smaller ones behind it, so it cannot starve.
package final class FairSemaphore: Sendable {
  private struct Waiter {
    let id: UInt64
    let amount: Int64
    let continuation: CheckedContinuation<Bool, Never>
  }

  private struct State {
    var held: Int64 = 0
    var limit: ConcurrencyLimit
    var waiters: Deque<Waiter> = []
    var nextID: UInt64 = 0
    /// Waiters that were cancelled before they began to wait.
    var cancelled: Set<UInt64> = []

    /// What is more than the limit of the moment goes alone.
    func hasRoom(for amount: Int64) -> Bool { held == 0 || held + amount <= limit.current }

    /// What nobody has to wait for.
    mutating func take(_ amount: Int64) -> Bool {
      guard waiters.isEmpty, hasRoom(for: amount) else { return false }
      held += amount
      return true
    }

    mutating func takeReady() -> [Waiter] {
      var ready: [Waiter] = []
      while let first = waiters.first, hasRoom(for: first.amount) {
        held += first.amount
        ready.append(waiters.removeFirst())
      }
      return ready
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
  package var available: Int64 { state.withLock { capacity - $0.held } }

  /// What may be held at the moment; less than the capacity after `slowDown`.
  package var limit: Int64 { state.withLock { $0.limit.current } }

  /// Tasks that wait now; for tests and status.
  package var waiterCount: Int { state.withLock { $0.waiters.count } }

  /// Runs `body` while holding `amount` (at most the capacity).
  ///
  /// - Throws: `CancellationError` when cancelled while waiting; what `body` throws.
  package func withPermit<Result: Sendable>(
    _ amount: Int64 = 1, _ body: () async throws -> Result
  ) async throws -> Result {
    let taken = min(max(amount, 0), capacity)
    try Task.checkCancellation()
    if !state.withLock({ $0.take(taken) }) { try await acquire(taken) }
    let permit = Permit(of: self, amount: taken)
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

    init(of semaphore: FairSemaphore, amount: Int64) {
      self.semaphore = semaphore
      self.amount = amount
    }

    /// - Returns: whether there was something to give back: of tasks that pause under one permit the first one gives it back.
    @discardableResult
    func giveBack() -> Bool {
      guard isHeld.exchange(false, ordering: .relaxed) else { return false }
      semaphore.change { $0.held -= amount }
      return true
    }

    func takeAgain() async throws {
      if !semaphore.state.withLock({ $0.take(amount) }) { try await semaphore.acquire(amount) }
      isHeld.store(true, ordering: .relaxed)
    }
  }

  /// Runs a pause while the caller's permit is free for others, and takes it again afterwards, at the end of the queue.
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

  private func acquire(_ amount: Int64) async throws {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    let isGranted = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.cancelled.remove(id) != nil { return false }
          if state.take(amount) { return true }
          state.waiters.append(Waiter(id: id, amount: amount, continuation: continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter: Waiter? = state.withLock { state in
        guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
          state.cancelled.insert(id)
          return nil
        }
        return state.waiters.remove(at: index)
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
