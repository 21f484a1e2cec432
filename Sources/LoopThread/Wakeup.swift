import CLinux
import Glibc

/// An eventfd(2) that ends another thread's poll(2). Any thread may signal it; it stays readable until it is
/// drained.
package final class Wakeup: Sendable {
  /// For polling with POLLIN. This object owns the descriptor, so a thread that polls it must hold the
  /// object.
  package let descriptor: Int32

  package init() throws(ThreadError) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    guard descriptor >= 0 else { throw ThreadError(operation: "making an eventfd", code: errno) }
  }

  deinit {
    close(descriptor)
  }

  /// Makes the descriptor readable.
  package func signal() {
    var one: UInt64 = 1
    // The only possible failure is EAGAIN, a full counter; the descriptor is readable then too.
    _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
  }

  /// Makes the descriptor unreadable again, after any number of signals.
  package func drain() {
    var count: UInt64 = 0
    // The only possible failure is EAGAIN: there was no signal.
    _ = read(descriptor, &count, MemoryLayout<UInt64>.size)
  }
}
