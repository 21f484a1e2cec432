import MirrorModel

/// Page-aligned memory for one part of a file.
///
/// `@unchecked Sendable`: a buffer has one owner at a time. The reader fills it and hands it on; nobody writes while
/// it is being sent.
package final class PartBuffer: @unchecked Sendable {
  /// Bytes.
  package let capacity: Int
  /// How many bytes from the start hold data.
  package private(set) var count = 0
  private let memory: UnsafeMutableRawBufferPointer

  /// A page on x86-64, and a divisor of arm64's larger ones.
  private static let alignment = 4096

  package init(capacity: Int) {
    self.capacity = capacity
    memory = .allocate(byteCount: capacity, alignment: Self.alignment)
  }

  deinit {
    memory.deallocate()
  }

  /// Reads up to `byteCount` bytes of the file in place of what the buffer held; fewer come only at the file's end.
  package func fill(from file: LocalFile, at offset: Int64, byteCount: Int) throws(TreeError) {
    precondition(byteCount <= capacity, "a part of \(byteCount) bytes in a buffer of \(capacity)")
    count = 0
    count = try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
  }

  /// Likewise, of a download on its way.
  package func fill(from file: PartialFile, at offset: Int64, byteCount: Int) throws(TreeError) {
    precondition(byteCount <= capacity, "a part of \(byteCount) bytes in a buffer of \(capacity)")
    count = 0
    count = try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
  }

  /// Gives out the bytes read.
  // SAFETY: the pointer is good while the buffer lives and is not filled again; the closure is called on the caller's thread.
  package func withBytes<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try body(bytes)
  }

  /// The bytes read, for C code that keeps the pointer over several calls.
  // SAFETY: valid until the next fill and while the buffer lives; the holder of the pointer must hold the buffer too.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }
}
