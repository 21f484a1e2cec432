import DequeModule
import Synchronization

/// Passes elements from one producing task to one consuming task. The producer may be a few elements ahead,
/// so both tasks overlap and memory stays bounded.
///
/// The producer must always end with `finish`, because `finish` wakes a consumer whose task was cancelled.
final class Relay<Element: Sendable>: Sendable {
  private struct State {
    var capacity: Int
    var waiting: Deque<Element> = []
    /// Set when the producer has ended.
    var ending: Result<Void, any Error>?
    /// Set when the consumer takes no more elements.
    var isClosed = false
    var consumer: CheckedContinuation<Void, Never>?
    var producer: CheckedContinuation<Void, Never>?
  }

  private let state: Mutex<State>

  /// - Parameter capacity: elements that wait for the consumer at most.
  init(capacity: Int) {
    state = Mutex(State(capacity: capacity))
  }

  /// From now on, as many elements may wait, if that is more than before.
  func widen(to capacity: Int) {
    let sleeper = state.withLock { state in
      state.capacity = max(state.capacity, capacity)
      return state.waiting.count < state.capacity ? Self.taken(&state.producer) : nil
    }
    sleeper?.resume()
  }

  // MARK: Producer

  /// Waits until there is room.
  ///
  /// - Returns: false if the consumer takes no more elements.
  func send(_ element: Element) async -> Bool {
    while true {
      let (isDone, answer, sleeper) = state.withLock { state in
        if state.isClosed { return (true, false, Self.taken(&state.consumer)) }
        guard state.waiting.count < state.capacity else { return (false, false, nil) }
        state.waiting.append(element)
        return (true, true, Self.taken(&state.consumer))
      }
      sleeper?.resume()
      if isDone { return answer }
      await withCheckedContinuation { continuation in
        let isFree = state.withLock { state in
          if state.isClosed || state.waiting.count < state.capacity { return true }
          state.producer = continuation
          return false
        }
        if isFree { continuation.resume() }
      }
    }
  }

  func finish(_ ending: Result<Void, any Error>) {
    let sleeper = state.withLock { state in
      state.ending = ending
      return Self.taken(&state.consumer)
    }
    sleeper?.resume()
  }

  // MARK: Consumer

  /// The next element, nil at the end.
  ///
  /// - Throws: the error with which the producer ended.
  func next() async throws -> Element? {
    while true {
      let (element, ending, sleeper) = state.withLock { state in
        if state.waiting.isEmpty {
          return (Element?.none, state.ending, CheckedContinuation<Void, Never>?.none)
        }
        return (state.waiting.removeFirst(), nil, Self.taken(&state.producer))
      }
      sleeper?.resume()
      if let element { return element }
      if let ending {
        try ending.get()
        return nil
      }
      await withCheckedContinuation { continuation in
        let isReady = state.withLock { state in
          if !state.waiting.isEmpty || state.ending != nil { return true }
          state.consumer = continuation
          return false
        }
        if isReady { continuation.resume() }
      }
    }
  }

  /// Ends the relay for the consumer. The producer's next `send` returns false.
  func close() {
    let sleeper = state.withLock { state in
      state.isClosed = true
      state.waiting = []
      return Self.taken(&state.producer)
    }
    sleeper?.resume()
  }

  private static func taken(_ place: inout CheckedContinuation<Void, Never>?) -> CheckedContinuation<
    Void, Never
  >? {
    defer { place = nil }
    return place
  }
}
