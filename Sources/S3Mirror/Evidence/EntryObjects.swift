import MirrorModel
import Synchronization

/// What lay under the prefix when the mirror began, so that what another writer puts there later can be told from it.
///
/// Of each object 64 bits are kept: 32 made of its name, and 32 of its ETag, size and date, by the standard library's seeded hash. So
/// a million objects take 8 MB. That an object is taken for the one whose place it took has odds of 1 in 4 * 10^9; for an object of a
/// new name they are 1 in 10^13 with a million objects.
final class EntryObjects: Sendable {
  private struct State {
    /// By the first byte of the name's half, so that no single array grows large. Sorted once the listing is complete.
    var prints = [[UInt64]](repeating: [], count: 256)
    var isComplete = false
  }

  private let state = Mutex(State())

  /// Notes what a listing holds. Once a listing was complete, later ones add nothing.
  func note(_ path: RelativePath, _ object: RemoteObject) {
    let print = Self.print(path, object)
    state.withLock { state in
      if !state.isComplete { state.prints[Int(print >> 56)].append(print) }
    }
  }

  /// Says that everything was listed.
  func complete() {
    state.withLock { state in
      guard !state.isComplete else { return }
      state.isComplete = true
      for index in state.prints.indices { state.prints[index].sort() }
    }
  }

  /// Whether the object lay there, just as it is.
  func contains(_ path: RelativePath, _ object: RemoteObject) -> Bool {
    let print = Self.print(path, object)
    return first(from: print) == print
  }

  /// Whether an object may have lain under this name. Until everything was listed, it may.
  func mayHaveHeld(_ path: RelativePath) -> Bool {
    guard state.withLock({ $0.isComplete }) else { return true }
    let half = Self.half(path)
    return first(from: half).map { $0 & Self.nameHalf == half } ?? false
  }

  /// The first of this print and those that follow it, among those with its first byte.
  private func first(from print: UInt64) -> UInt64? {
    state.withLock { state in
      guard state.isComplete else { return nil }
      let prints = state.prints[Int(print >> 56)]
      var (low, high) = (0, prints.count)
      while low < high {
        let middle = (low + high) / 2
        if prints[middle] < print { low = middle + 1 } else { high = middle }
      }
      return low < prints.count ? prints[low] : nil
    }
  }

  private static let nameHalf: UInt64 = 0xFFFF_FFFF_0000_0000

  private static func half(_ path: RelativePath) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(path)
    return UInt64(bitPattern: Int64(hasher.finalize())) & nameHalf
  }

  /// The date in whole seconds: some servers list fractions that the head of the object does not have.
  private static func print(_ path: RelativePath, _ object: RemoteObject) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(path)
    hasher.combine(RelativePath(object.etag))
    hasher.combine(object.byteCount)
    hasher.combine(object.lastModified / 1_000_000_000)
    return half(path) | UInt64(bitPattern: Int64(hasher.finalize())) & ~nameHalf
  }
}
