import Synchronization

/// Tasks that wait and are woken together.
final class PausedTasks: Sendable {
  private struct State {
    var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    /// Tasks that were cancelled before their wait began.
    var cancelled: Set<Int> = []
    var lastID = 0
  }

  private let state = Mutex(State())

  var count: Int { state.withLock { $0.waiting.count } }

  func wakeAll() {
    let woken = state.withLock { state in
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for continuation in woken { continuation.resume() }
  }

  /// Returns when the tasks are woken, or when this task is cancelled.
  ///
  /// - Parameter isOver: whether the wait is over already. It must become true before `wakeAll` is called, so
  ///   that no task waits for a call that has already happened.
  func wait(unless isOver: () -> Bool = { false }) async {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isToGoOn = state.withLock { state in
          if state.cancelled.remove(id) != nil || isOver() { return true }
          state.waiting[id] = continuation
          return false
        }
        if isToGoOn { continuation.resume() }
      }
    } onCancel: {
      let continuation = state.withLock { state in
        let continuation = state.waiting.removeValue(forKey: id)
        if continuation == nil { state.cancelled.insert(id) }
        return continuation
      }
      continuation?.resume()
    }
    state.withLock { _ = $0.cancelled.remove(id) }
  }
}
