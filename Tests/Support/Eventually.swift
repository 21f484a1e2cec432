import Glibc

/// A condition that a test waited for and that never held.
package struct NeverHeld: Error, CustomStringConvertible {
  package var what: String
  package var limit: Duration

  package var description: String { "after \(limit) it still did not hold that \(what)" }
}

/// What a test waits for comes within microseconds, or a test that is wrong would hang; a loaded machine needs some seconds.
package let patience: Duration = .seconds(60)

/// Returns as soon as the condition holds, where nothing tells of that.
///
/// - Parameter what: the condition in words, for the failure.
/// - Throws: `NeverHeld`; what `condition` throws; `CancellationError`.
package func eventually(
  _ what: String, within limit: Duration = patience, isolation: isolated (any Actor)? = #isolation,
  _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < end else { throw NeverHeld(what: what, limit: limit) }
    try await Task.sleep(for: .milliseconds(1))
  }
}

/// The same on a thread that may be blocked, so that a test without `async` can wait.
package func blockUntil(
  _ what: String, within limit: Duration = patience, _ condition: () throws -> Bool
) throws {
  let end = ContinuousClock.now + limit
  while try !condition() {
    guard ContinuousClock.now < end else { throw NeverHeld(what: what, limit: limit) }
    sched_yield()
  }
}
