import LoopThread
import MirrorModel
import Synchronization

/// Wakes one waiting task: a ring while nobody waits is kept, further ones are the same ring.
final class Doorbell: Sendable {
  private enum State {
    case quiet
    case rung
    case waiting(CheckedContinuation<Void, Never>)
  }

  private let state = Mutex(State.quiet)

  func ring() {
    let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
      if case .waiting(let continuation) = state {
        state = .quiet
        return continuation
      }
      state = .rung
      return nil
    }
    waiter?.resume()
  }

  /// Returns at the next ring, at the deadline or when the task is cancelled. One task at a time may wait.
  func wait(until deadline: Instant?) async {
    guard let deadline else { return await waitForRing() }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.waitForRing() }
      group.addTask {
        do {
          try await TaskThreads.pause(until: deadline)
        } catch {
          // Cancelled because the bell rang first: there is nothing left to wait for.
        }
      }
      await group.next()
      group.cancelAll()
    }
  }

  private func waitForRing() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if case .rung = state {
            state = .quiet
            return true
          }
          if Task.isCancelled { return true }
          state = .waiting(continuation)
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
        guard case .waiting(let continuation) = state else { return nil }
        state = .quiet
        return continuation
      }
      waiter?.resume()
    }
  }
}
