import LocalTree
import LoopThread
import MirrorModel
import Synchronization

/// Commit markers in directories whose changes no event reports.
///
/// A comparison does not see the tree at one moment. If a marker is rewritten during the comparison, it may
/// name data that appeared after their directory was read. Events report this for watched markers. For the
/// others only their stamps show it: a marker whose stamp is the same since before the comparison names
/// nothing that the comparison did not see.
final class PolledMarkers: Sendable {
  private let stamps = Mutex<[RelativePath: FileStamp?]>([:])
  /// Nanoseconds since 1970-01-01 UTC.
  private let wallClock: @Sendable () -> Int64

  init(wallClock: @escaping @Sendable () -> Int64) {
    self.wallClock = wallClock
  }

  /// Reads the markers' stamps before a comparison of their data begins.
  ///
  /// Waits until each stamp is so old that rewriting the marker would change it, 20 ms at most. A marker that
  /// is rewritten during this time is held back.
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
      // Cancelled: the stamps stay too young, and the markers are held back.
    }
    for path in young {
      let stamp = Self.stamp(of: path, in: root)
      let isTrusted = stamp.map { $0.timeUntilTrusted(at: wallClock()) == .zero } ?? false
      stamps.withLock { $0[path] = .some(isTrusted ? stamp : nil) }
    }
  }

  /// Holds a marker back that was found only after the comparison of its data.
  func hold(_ path: RelativePath) {
    stamps.withLock { $0[path] = .some(nil) }
  }

  /// Whether the marker is the same as before the comparison. Events report changes of all other markers.
  func isUnchanged(_ path: RelativePath, in root: TreeRoot) -> Bool {
    guard let known = stamps.withLock({ $0[path] }) else { return true }
    guard let known, let stamp = Self.stamp(of: path, in: root) else { return false }
    return known.isSameVersion(as: stamp)
  }

  /// - Parameter kept: markers that are still being published.
  func forget(except kept: Set<RelativePath>) {
    stamps.withLock { stamps in stamps = stamps.filter { kept.contains($0.key) } }
  }

  /// Nil if the file cannot be read or is gone; the marker is held back then.
  private static func stamp(of path: RelativePath, in root: TreeRoot) -> FileStamp? {
    guard case .success(let entry?) = Result(catching: { () throws(TreeError) in try root.look(at: path) })
    else { return nil }
    return entry.stamp
  }
}
