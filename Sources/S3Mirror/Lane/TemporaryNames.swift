import LocalTree
import MirrorModel
import Synchronization

/// The temporary names that the watch found, for `status`. Their files are not published.
final class TemporaryNames: Sendable {
  /// The limit of names, about 200 bytes each. Further names are not reported.
  private static let limit = 1_000

  private let met = Mutex<Set<RelativePath>>([])

  /// - Parameter path: a temporary name, or a path below one.
  func note(_ path: RelativePath) {
    met.withLock { if $0.count < Self.limit { $0.insert(path) } }
  }

  /// The names that still exist. The others are forgotten.
  func present(in root: TreeRoot) -> [RelativePath] {
    let known = met.withLock { Array($0) }
    var gone: Set<RelativePath> = []
    // If a path cannot be read, its file may still exist.
    for path in known {
      if case .success(nil) = Result(catching: { try root.look(at: path) }) { gone.insert(path) }
    }
    met.withLock { $0.subtract(gone) }
    let present = Set(known).subtracting(gone)
    return present.filter { path in path.ancestors.allSatisfy { !present.contains($0) } }.sorted()
  }
}
