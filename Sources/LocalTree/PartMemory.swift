import Synchronization

/// The memory of large parts, reused from part to part during an upload.
///
/// malloc(3) gets blocks of this size from mmap(2) and returns them, so every part of 16 MiB would cost 4,096
/// page faults and as many zeroed pages: most of an upload's CPU time. There is one pool for the process, as
/// with malloc. The pool never makes the process larger than the parts that were in use at one time. It
/// empties itself when the last part comes back, so a mirror between two ticks holds nothing.
final class PartMemory: Sendable {
  // SAFETY: a block is either in the pool or owned by the one PartBuffer that took it.
  private struct Block: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
  }

  private struct State {
    var free: [Block] = []
    var freeBytes = 0
    var bytesInUse = 0
    /// The most bytes in use since the pool was last empty.
    var peakBytes = 0

    /// Removes blocks, the oldest first, until the held bytes fit in the peak.
    mutating func trim() -> [Block] {
      var surplus: [Block] = []
      if bytesInUse == 0 { peakBytes = 0 }
      while freeBytes + bytesInUse > peakBytes {
        let oldest = free.removeFirst()
        freeBytes -= oldest.bytes.count
        surplus.append(oldest)
      }
      return surplus
    }
  }

  static let shared = PartMemory()

  /// 1 MiB: smaller blocks come from malloc's heap, mostly without page faults.
  static let smallestKept = 1 << 20
  /// A page on x86-64, and a divisor of the larger pages on arm64.
  private static let alignment = 4096
  private let state = Mutex(State())

  /// Bytes that are kept for their next use.
  var freeBytes: Int { state.withLock { $0.freeBytes } }

  func take(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    guard byteCount >= Self.smallestKept else { return Self.allocate(byteCount) }
    let (kept, surplus): (Block?, [Block]) = state.withLock { state in
      state.bytesInUse += byteCount
      state.peakBytes = max(state.peakBytes, state.bytesInUse)
      let index = state.free.lastIndex { $0.bytes.count == byteCount }
      let kept = index.map { state.free.remove(at: $0) }
      if kept != nil { state.freeBytes -= byteCount }
      return (kept, state.trim())
    }
    for block in surplus { block.bytes.deallocate() }
    return kept?.bytes ?? Self.allocate(byteCount)
  }

  func giveBack(_ bytes: UnsafeMutableRawBufferPointer) {
    guard bytes.count >= Self.smallestKept else { return bytes.deallocate() }
    let block = Block(bytes: bytes)
    let surplus = state.withLock { state in
      state.bytesInUse -= block.bytes.count
      state.free.append(block)
      state.freeBytes += block.bytes.count
      return state.trim()
    }
    for block in surplus { block.bytes.deallocate() }
  }

  private static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    .allocate(byteCount: byteCount, alignment: alignment)
  }
}
