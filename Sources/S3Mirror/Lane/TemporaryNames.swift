import LocalTree
import MirrorModel
import Synchronization

/// The temporary names that the watch met, for `status`: what has one is not published.
final class TemporaryNames: Sendable {
  /// Some 200 bytes each. More are not reported.
  private static let limit = 1_000

  private let met = Mutex<Set<RelativePath>>([])

  /// - Parameter path: the temporary name itself, or one below it.
  func note(_ path: RelativePath) {
    met.withLock { if $0.count < Self.limit { $0.insert(path) } }
  }

  /// Those that are still there. The others are forgotten.
  func present(in root: TreeRoot) -> [RelativePath] {
    let known = met.withLock { Array($0) }
    var gone: Set<RelativePath> = []
    // What cannot be looked at may be there.
    for path in known {
      if case .success(nil) = Result(catching: { try root.look(at: path) }) { gone.insert(path) }
    }
    met.withLock { $0.subtract(gone) }
    let present = Set(known).subtracting(gone)
    return present.filter { path in path.ancestors.allSatisfy { !present.contains($0) } }.sorted()
  }
}
