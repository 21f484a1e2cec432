import Foundation

/// Keeps the pipes of a test's child from other children that start at the same time.
///
/// Foundation closes in a child what was open when it began to start it. A pipe that another thread makes after that
/// moment is inherited. It then has no end before that other child ends, which may wait for this one.
private let startLock = NSLock()

extension Pipe {
  /// A pipe that no child inherits unless it is given to it.
  package static func makePrivate() -> Pipe { startLock.withLock { Pipe() } }
}

extension Process {
  /// Runs the program. It inherits no pipe of `Pipe.makePrivate()` but its own.
  package func start() throws { try startLock.withLock { try run() } }
}
