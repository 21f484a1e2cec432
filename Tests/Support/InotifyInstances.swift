import Glibc

/// The inotify instances of this user: 128 by default for all programs together (inotify(7), `max_user_instances`). Tests
/// that need one wait while others hold them all.
package enum InotifyInstances {
  package struct UsedUp: Error, CustomStringConvertible {
    package var description: String {
      "no inotify instance was free for \(patience): raise fs.inotify.max_user_instances"
    }
  }

  /// Other tests of this program give theirs back long before; after that the limit itself is too low.
  static let patience: Duration = .seconds(120)

  /// Returns when one is free. Another program may take it before the caller does.
  ///
  /// - Throws: `UsedUp`; `CancellationError`.
  package static func waitForOne() async throws {
    if isOneFree() { return }
    print("waiting for an inotify instance: all of fs.inotify.max_user_instances are in use")
    do {
      // No event tells of a free one.
      try await eventually("an inotify instance is free", within: patience) { isOneFree() }
    } catch is NeverHeld {
      throw UsedUp()
    }
  }

  /// What `attempt` makes, which is tried again when it found none free.
  ///
  /// - Throws: `UsedUp`; `CancellationError`; what `attempt` throws.
  package static func retrying<Made>(
    isolation: isolated (any Actor)? = #isolation, _ attempt: () async throws -> Made?
  ) async throws -> Made {
    for _ in 0..<1_000 {
      try await waitForOne()
      if let made = try await attempt() { return made }
    }
    throw UsedUp()
  }

  private static func isOneFree() -> Bool {
    let descriptor = inotify_init1(Int32(O_CLOEXEC))
    guard descriptor >= 0 else { return errno != EMFILE }
    close(descriptor)
    return true
  }
}
