import Synchronization

/// Runs `body` for every element, at most `width` at a time. Returns the results in the order in which they
/// were completed.
///
/// - Parameter executors: see `WorkQueue.workOff`.
func concurrentEach<Element: Sendable, Result: Sendable>(
  _ elements: some Sequence<Element>, width: Int, on executors: [any TaskExecutor] = [],
  _ body: @escaping @Sendable (Element) async -> Result
) async -> [Result] {
  let elements = Array(elements)
  let results = Tally<[Result]>([])
  let places = min(width, elements.count)
  await WorkQueue(of: elements).workOff(width: { places }, on: executors) { element in
    let result = await body(element)
    results.note { $0.append(result) }
  }
  return results.sum
}

/// A sum to which several tasks add.
final class Tally<Sum: Sendable>: Sendable {
  private let state: Mutex<Sum>

  init(_ start: Sum) {
    state = Mutex(start)
  }

  var sum: Sum { state.withLock { $0 } }

  func note(_ change: (inout Sum) -> Void) {
    state.withLock { change(&$0) }
  }
}
