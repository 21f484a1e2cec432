import Glibc
import Synchronization

/// Numbers for versions, over all writers of a run: also over those in other processes.
///
/// The number lies in a file that every process maps, so that it grows over all of them.
final class VersionCounter: @unchecked Sendable {
  // SAFETY: mapped as long as this object lives, page-aligned, and touched by atomic operations only; hence `@unchecked`.
  private let number: UnsafeMutablePointer<Atomic<UInt64>>

  /// - Parameter path: of the file, which is made when it is not there.
  init(sharedAt path: String) throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CounterError(operation: "open", code: errno) }
    defer { close(descriptor) }
    let size = MemoryLayout<UInt64>.size
    guard ftruncate(descriptor, off_t(size)) == 0 else {
      throw CounterError(operation: "ftruncate", code: errno)
    }
    let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else { throw CounterError(operation: "mmap", code: errno) }
    number = memory.assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  deinit {
    munmap(number, MemoryLayout<UInt64>.size)
  }

  func next() -> UInt64 { number.pointee.wrappingAdd(1, ordering: .relaxed).newValue }

  private struct CounterError: Error {
    var operation: String
    var code: Int32
  }
}
