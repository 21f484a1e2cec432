import CLinux
import Glibc

/// An eventfd(2) that ends another thread's poll(2): signalled from any thread, it stays readable until drained.
package final class Wakeup: Sendable {
  /// To be polled for POLLIN; owned by this object, so whoever polls it keeps the object.
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
    // The one possible failure is EAGAIN, a full counter: the descriptor is readable then too.
    _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
  }

  /// Makes the descriptor unreadable again, however often it was signalled.
  package func drain() {
    var count: UInt64 = 0
    // The one possible failure is EAGAIN: there was no signal.
    _ = read(descriptor, &count, MemoryLayout<UInt64>.size)
  }
}
