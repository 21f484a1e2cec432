import LocalTree
import LoopThread
import MirrorModel
import Synchronization

/// Commit markers that lie where no event tells of a change.
///
/// A comparison sees the tree at no single moment: a marker that is rewritten while it goes on may name data that came
/// when their directory had been looked at. Of watched ones the events say so. Of the others only their stamps do: one
/// that has been the same since before the comparison names nothing that the comparison did not see.
final class PolledMarkers: Sendable {
  private let stamps = Mutex<[RelativePath: FileStamp?]>([:])
  /// Nanoseconds since 1970-01-01 UTC.
  private let wallClock: @Sendable () -> Int64

  init(wallClock: @escaping @Sendable () -> Int64) {
    self.wallClock = wallClock
  }

  /// Takes the markers' stamps, before a comparison of their data begins.
  ///
  /// It waits until they are so old that a rewriting would move them, 20 ms at the most. A marker that is rewritten
  /// meanwhile is kept back.
  func look(at paths: some Sequence<RelativePath>, in root: TreeRoot) async {
    var young: [RelativePath] = []
    var wait = Duration.zero
    for path in paths {
      let stamp = Self.stamp(of: path, in: root)
      stamps.withLock { $0[path] = .some(stamp) }
      guard let rest = stamp?.timeUntilTrusted(at: wallClock()), rest > .zero else { continue }
      young.append(path)
      wait = max(wait, rest)
    }
    guard !young.isEmpty else { return }
    do {
      try await TaskThreads.pause(for: wait)
    } catch {
      // Cancelled: the stamps stay too young, and the markers are kept back.
    }
    for path in young {
      let stamp = Self.stamp(of: path, in: root)
      let isTrusted = stamp.map { $0.timeUntilTrusted(at: wallClock()) == .zero } ?? false
      stamps.withLock { $0[path] = .some(isTrusted ? stamp : nil) }
    }
  }

  /// Keeps a marker back that was met when the comparison of its data was over.
  func hold(_ path: RelativePath) {
    stamps.withLock { $0[path] = .some(nil) }
  }

  /// Whether the marker is still what it was before the comparison; of those that were not looked at, events tell.
  func isUnchanged(_ path: RelativePath, in root: TreeRoot) -> Bool {
    guard let known = stamps.withLock({ $0[path] }) else { return true }
    guard let known, let stamp = Self.stamp(of: path, in: root) else { return false }
    return known.isSameVersion(as: stamp)
  }

  /// - Parameter kept: markers that are still being published.
  func forget(except kept: Set<RelativePath>) {
    stamps.withLock { stamps in stamps = stamps.filter { kept.contains($0.key) } }
  }

  /// Nil where nothing can be read of it, which keeps the marker back.
  private static func stamp(of path: RelativePath, in root: TreeRoot) -> FileStamp? {
    guard case .success(let entry?) = Result(catching: { () throws(TreeError) in try root.look(at: path) })
    else { return nil }
    return entry.stamp
  }
}
