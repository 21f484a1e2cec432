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
    var available: Int64
    var waiters: [Waiter] = []
    var nextID: UInt64 = 0
    /// Waiters that were cancelled before they began to wait.
    var cancelled: Set<UInt64> = []
  }

  package let capacity: Int64
  private let state: Mutex<State>

  package init(capacity: Int64) {
    self.capacity = max(1, capacity)
    state = Mutex(State(available: max(1, capacity)))
  }

  /// What is free now; for tests and status.
  package var available: Int64 { state.withLock { $0.available } }

  /// Tasks that wait now; for tests and status.
  package var waiterCount: Int { state.withLock { $0.waiters.count } }

  /// Runs `body` while holding `amount` (at most the capacity).
  ///
  /// - Throws: `CancellationError` when cancelled while waiting; what `body` throws.
  package func withPermit<Result: Sendable>(
    _ amount: Int64 = 1, _ body: () async throws -> Result
  ) async throws -> Result {
    let taken = min(max(amount, 0), capacity)
    try await acquire(taken)
    defer { release(taken) }
    return try await body()
  }

  private func acquire(_ amount: Int64) async throws {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    let isGranted = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.cancelled.remove(id) != nil { return false }
          if state.waiters.isEmpty, state.available >= amount {
            state.available -= amount
            return true
          }
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
      release(0)
    }
    state.withLock { _ = $0.cancelled.remove(id) }
    guard isGranted else { throw CancellationError() }
  }

  private func release(_ amount: Int64) {
    let ready: [Waiter] = state.withLock { state in
      state.available += amount
      var ready: [Waiter] = []
      while let first = state.waiters.first, state.available >= first.amount {
        state.available -= first.amount
        ready.append(state.waiters.removeFirst())
      }
      return ready
    }
    for waiter in ready { waiter.continuation.resume(returning: true) }
  }
}
