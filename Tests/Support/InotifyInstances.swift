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
    let start = ContinuousClock.now
    var isSaid = false
    // No event tells of a free one.
    while !isOneFree() {
      guard ContinuousClock.now < start + patience else { throw UsedUp() }
      if !isSaid { print("waiting for an inotify instance: all of fs.inotify.max_user_instances are in use") }
      isSaid = true
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private static func isOneFree() -> Bool {
    let descriptor = inotify_init1(Int32(O_CLOEXEC))
    guard descriptor >= 0 else { return errno != EMFILE }
    close(descriptor)
    return true
  }
}
