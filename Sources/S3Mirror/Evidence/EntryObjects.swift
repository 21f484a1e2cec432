import MirrorModel
import Synchronization

/// The objects that were under the prefix when the mirror began. They distinguish later objects of another
/// writer.
///
/// For each object 64 bits are kept: 32 bits of a hash of its name, and 32 bits of a hash of its name, ETag,
/// size and date. The hash is the standard library's seeded one. So a million objects take 8 MB. An object
/// that replaced another is mistaken for it with a probability of 1 in 4 * 10^9. An object with a new name is
/// mistaken for one at entry with a probability of 1 in 10^13, if there were a million objects.
final class EntryObjects: Sendable {
  private struct State {
    /// In pieces of one size: an array that grew would hold its content twice, and leave gaps in the heap.
    var pieces: [[UInt64]] = []
    var isComplete = false
    /// Whether each piece is sorted. The first question sorts them: most mirrors ask none.
    var isSorted = false

    mutating func append(_ print: UInt64) {
      if (pieces.last?.count ?? pieceLength) == pieceLength {
        pieces.append([])
        pieces[pieces.count - 1].reserveCapacity(pieceLength)
      }
      pieces[pieces.count - 1].append(print)
    }

    mutating func sort() {
      if isSorted { return }
      isSorted = true
      for index in pieces.indices { pieces[index].sort() }
    }
  }

  /// 128 KiB: memory of its own for malloc(3), of which the kernel gives only the pages that are written.
  private static let pieceLength = 1 << 14

  private let state = Mutex(State())

  /// Notes an object of a listing. After one complete listing, further listings add nothing.
  func note(_ path: RelativePath, _ object: RemoteObject) {
    let print = Self.print(path, object)
    state.withLock { state in
      if !state.isComplete { state.append(print) }
    }
  }

  /// Notes that everything was listed.
  func complete() {
    state.withLock { $0.isComplete = true }
  }

  /// Whether everything that was under the prefix at entry was listed.
  var isComplete: Bool { state.withLock { $0.isComplete } }

  /// Whether this very object was under the prefix at entry.
  func contains(_ path: RelativePath, _ object: RemoteObject) -> Bool {
    let print = Self.print(path, object)
    return hasPrint(in: print...print)
  }

  /// Whether an object may have had this name at entry; always true until everything was listed.
  func mayHaveHeld(_ path: RelativePath) -> Bool {
    guard isComplete else { return true }
    let half = Self.half(path)
    return hasPrint(in: half...(half | ~Self.nameHalf))
  }

  /// False until everything was listed.
  private func hasPrint(in range: ClosedRange<UInt64>) -> Bool {
    state.withLock { state in
      guard state.isComplete else { return false }
      state.sort()
      return state.pieces.contains { prints in
        var (low, high) = (0, prints.count)
        while low < high {
          let middle = (low + high) / 2
          if prints[middle] < range.lowerBound { low = middle + 1 } else { high = middle }
        }
        return low < prints.count && prints[low] <= range.upperBound
      }
    }
  }

  private static let nameHalf: UInt64 = 0xFFFF_FFFF_0000_0000

  private static func half(_ path: RelativePath) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(path)
    return UInt64(bitPattern: Int64(hasher.finalize())) & nameHalf
  }

  /// The date counts in whole seconds: some servers list fractions that HeadObject does not return.
  private static func print(_ path: RelativePath, _ object: RemoteObject) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(path)
    hasher.combine(RelativePath(object.etag))
    hasher.combine(object.byteCount)
    hasher.combine(object.lastModified / 1_000_000_000)
    return half(path) | UInt64(bitPattern: Int64(hasher.finalize())) & ~nameHalf
  }
}
