/// Runs `body` for every element, at most `width` at a time, and returns the results in the order they came.
func concurrentEach<Element: Sendable, Result: Sendable>(
  _ elements: some Sequence<Element>, width: Int,
  _ body: @escaping @Sendable (Element) async -> Result
) async -> [Result] {
  await withTaskGroup(of: Result.self) { group in
    var rest = elements.makeIterator()
    var results: [Result] = []
    for _ in 0..<max(1, width) {
      guard let element = rest.next() else { break }
      group.addTask { await body(element) }
    }
    while let result = await group.next() {
      results.append(result)
      if let element = rest.next() { group.addTask { await body(element) } }
    }
    return results
  }
}
