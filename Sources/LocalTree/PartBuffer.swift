import Glibc
import MirrorModel

/// Page-aligned memory for one part of a file.
///
/// `@unchecked Sendable`: a buffer has one owner at a time. The reader fills it and hands it on; no thread
/// writes to it while it is being sent.
package final class PartBuffer: @unchecked Sendable {
  /// Bytes.
  package let capacity: Int
  /// How many bytes from the start hold data.
  package private(set) var count = 0
  private let memory: UnsafeMutableRawBufferPointer
  private let pool: PartMemory

  package convenience init(capacity: Int) {
    self.init(capacity: capacity, pool: .shared)
  }

  init(capacity: Int, pool: PartMemory) {
    self.capacity = capacity
    self.pool = pool
    memory = pool.take(capacity)
  }

  deinit {
    pool.giveBack(memory)
  }

  /// Replaces the buffer's content by up to `byteCount` bytes of the file; fewer only at the file's end.
  package func fill(from file: LocalFile, at offset: Int64, byteCount: Int) throws(TreeError) {
    try fill(from: file, at: offset, byteCount: byteCount, pieceBytes: byteCount) { _ in }
  }

  /// The same, piece by piece: `show` gets each piece right after its read, while the processor's cache still
  /// holds it.
  // SAFETY: a piece is valid only during the call of `show`.
  package func fill(
    from file: LocalFile, at offset: Int64, byteCount: Int, pieceBytes: Int,
    _ show: (UnsafeRawBufferPointer) -> Void
  ) throws(TreeError) {
    precondition(byteCount <= capacity, "a part of \(byteCount) bytes in a buffer of \(capacity)")
    count = 0
    while count < byteCount {
      let wanted = min(pieceBytes, byteCount - count)
      let piece = UnsafeMutableRawBufferPointer(rebasing: memory[count..<(count + wanted)])
      let read = try file.read(at: offset + Int64(count), into: piece)
      show(UnsafeRawBufferPointer(rebasing: piece[..<read]))
      count += read
      if read < wanted { break }
    }
  }

  /// Reads exactly `byteCount` bytes without waiting for a disk; false if one of them is not in the page
  /// cache.
  package func fillFromCache(of file: LocalFile, at offset: Int64, byteCount: Int) -> Bool {
    precondition(byteCount <= capacity, "a part of \(byteCount) bytes in a buffer of \(capacity)")
    let isFilled = file.readCached(
      at: offset, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
    count = isFilled ? byteCount : 0
    return isFilled
  }

  /// The same for an unfinished download.
  package func fill(from file: PartialFile, at offset: Int64, byteCount: Int) throws(TreeError) {
    precondition(byteCount <= capacity, "a part of \(byteCount) bytes in a buffer of \(capacity)")
    count = 0
    count = try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
  }

  /// Whether the file begins with the buffer's bytes; false also if this cannot be determined without waiting
  /// for a disk.
  func isContent(of file: LocalFile) -> Bool {
    let again = PartBuffer(capacity: count, pool: pool)
    guard again.fillFromCache(of: file, at: 0, byteCount: count) else { return false }
    guard let one = memory.baseAddress, let other = again.memory.baseAddress else { return count == 0 }
    return memcmp(one, other, count) == 0
  }

  /// Calls `body` with the bytes that were read.
  // SAFETY: the pointer is valid while the buffer lives and is not filled again; the closure is called on the
  // caller's thread.
  package func withBytes<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try body(bytes)
  }

  /// The bytes that were read, for C code that keeps the pointer over several calls.
  // SAFETY: valid until the next fill and while the buffer lives. The holder of the pointer must also hold
  // the buffer.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }
}
