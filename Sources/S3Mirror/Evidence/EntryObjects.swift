import MirrorModel
import Synchronization

/// What lay under the prefix when the mirror began, so that what another writer puts there later can be told from it.
///
/// Of each object 64 bits are kept, made of name, ETag, size and date by the standard library's seeded hash. So a million objects
/// take 8 MB, and that an object which came later is taken for one of them has odds of 1 in 10^13.
final class EntryObjects: Sendable {
  private struct State {
    /// By the first byte, so that no single array grows large. Sorted once the listing is complete.
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
    return state.withLock { state in
      guard state.isComplete else { return false }
      let prints = state.prints[Int(print >> 56)]
      var (low, high) = (0, prints.count)
      while low < high {
        let middle = (low + high) / 2
        if prints[middle] < print { low = middle + 1 } else { high = middle }
      }
      return low < prints.count && prints[low] == print
    }
  }

  /// The date in whole seconds: some servers list fractions that the head of the object does not have.
  private static func print(_ path: RelativePath, _ object: RemoteObject) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(path)
    hasher.combine(RelativePath(object.etag))
    hasher.combine(object.byteCount)
    hasher.combine(object.lastModified / 1_000_000_000)
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }
}
