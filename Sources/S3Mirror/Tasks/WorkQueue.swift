import DequeModule
import Synchronization

/// A queue that several tasks work on while one task adds elements, a bounded number ahead.
///
/// There is one task per place, not one per element: each task takes the next element itself. So no element
/// creates or wakes a task, which would cost as much as a file of a few KiB.
final class WorkQueue<Element: Sendable>: Sendable {
  private struct State {
    var waiting: Deque<Element>
    var isFinished = false
    /// Workers that wait for an element.
    var idle: [CheckedContinuation<Element?, Never>] = []
    var feeder: CheckedContinuation<Void, Never>?
  }

  private let capacity: Int
  private let state: Mutex<State>

  /// - Parameter capacity: the largest number of waiting elements. The feeder resumes when half of them are
  ///   taken, so one wake-up serves many elements.
  init(capacity: Int) {
    self.capacity = max(1, capacity)
    state = Mutex(State(waiting: []))
  }

  /// A queue that receives no further elements.
  init(of elements: [Element]) {
    capacity = elements.count
    state = Mutex(State(waiting: Deque(elements), isFinished: true))
  }

  // MARK: Adding, by one task

  /// Waits until there is room.
  func add(_ element: Element) async {
    let (worker, isFull) = state.withLock { state in
      if let worker = state.idle.popLast() {
        return (worker, false) as (CheckedContinuation<Element?, Never>?, Bool)
      }
      state.waiting.append(element)
      return (nil, state.waiting.count >= capacity)
    }
    worker?.resume(returning: element)
    guard isFull else { return }
    await withCheckedContinuation { continuation in
      let hasRoom = state.withLock { state in
        if state.waiting.count <= capacity / 2 { return true }
        state.feeder = continuation
        return false
      }
      if hasRoom { continuation.resume() }
    }
  }

  /// Declares that no more elements come. `workOff` returns when everything is done.
  func finish() {
    let idle = state.withLock { state in
      state.isFinished = true
      defer { state.idle = [] }
      return state.idle
    }
    for worker in idle { worker.resume(returning: nil) }
  }

  // MARK: Working

  /// Runs `body` for every element, at most `width` at a time, until `finish` was called and no element
  /// waits.
  ///
  /// - Parameters:
  ///   - width: is asked after each element, and may change.
  ///   - executors: executors for the tasks, in turn, such as the threads that send their requests. If empty, the
  ///     tasks run where the caller runs.
  func workOff(
    width: @escaping @Sendable () -> Int, on executors: [any TaskExecutor] = [],
    _ body: @escaping @Sendable (Element) async -> Void
  ) async {
    let places = Tally(0)
    let work: @Sendable () async -> PlaceEnd = {
      var count = 0
      while let element = await self.next() {
        await body(element)
        count += 1
        if places.sum != max(1, width()) { return .ofWidth }
        // Bodies that never suspend would keep other tasks from this thread.
        if count % 16 == 0 { await Task.yield() }
      }
      return .ofQueue
    }
    await withTaskGroup(of: PlaceEnd.self) { group in
      var started = 0
      func fill() {
        let missing = max(0, max(1, width()) - places.sum)
        // All are counted before the first begins, or it would see another number than the width and end.
        places.note { $0 += missing }
        for _ in 0..<missing {
          if executors.isEmpty {
            // A preference of nil would mean the runtime's thread pool.
            group.addTask(operation: work)
          } else {
            group.addTask(executorPreference: executors[started % executors.count], operation: work)
          }
          started += 1
        }
      }
      fill()
      var isEnded = false
      while let end = await group.next() {
        places.note { $0 -= 1 }
        if end == .ofQueue { isEnded = true }
        if !isEnded { fill() }
      }
    }
  }

  /// Why a place has ended.
  private enum PlaceEnd {
    /// No element will come.
    case ofQueue
    /// There are to be more places, or fewer. Only the task that began the places can begin others.
    case ofWidth
  }

  private func next() async -> Element? {
    switch take(orLeave: nil) {
    case .element(let element): element
    case .end: nil
    case .nothing:
      await withCheckedContinuation { continuation in
        switch take(orLeave: continuation) {
        case .element(let element): continuation.resume(returning: element)
        case .end: continuation.resume(returning: nil)
        case .nothing: break
        }
      }
    }
  }

  private enum Taken {
    case element(Element)
    case end
    case nothing
  }

  /// Takes the next element. If there is none, `worker` is resumed with the next element, or at the end.
  private func take(orLeave worker: CheckedContinuation<Element?, Never>?) -> Taken {
    let (taken, feeder) = state.withLock { state -> (Taken, CheckedContinuation<Void, Never>?) in
      guard let element = state.waiting.popFirst() else {
        if state.isFinished { return (.end, nil) }
        if let worker { state.idle.append(worker) }
        return (.nothing, nil)
      }
      guard state.waiting.count <= capacity / 2 else { return (.element(element), nil) }
      defer { state.feeder = nil }
      return (.element(element), state.feeder)
    }
    feeder?.resume()
    return taken
  }
}
