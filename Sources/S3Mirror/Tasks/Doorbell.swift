import LoopThread
import MirrorModel
import Synchronization

/// Wakes one waiting task. A ring without a waiting task is kept; further rings add nothing to it.
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

  /// Whether a task waits that no ring has woken. A clock that stands moves only then.
  var isAwaited: Bool {
    state.withLock { if case .waiting = $0 { true } else { false } }
  }

  /// Returns at the next ring, at the deadline, or when the task is cancelled. Only one task may wait at a
  /// time.
  func wait(until deadline: Instant?) async {
    guard let deadline else { return await waitForRing() }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.waitForRing() }
      group.addTask {
        do {
          try await TaskThreads.pause(until: .now + (deadline - Instant.now))
        } catch {
          // The bell rang first, so this wait was cancelled.
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
