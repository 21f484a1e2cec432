import FileWatch
import LocalTree
import MirrorModel

/// The watch over one root, as a lane uses it. `TreeWatcher` is the one that asks the kernel.
///
/// Every change is reported at least once, or a `rescan` names the part of the tree in which it may have happened.
protocol TreeWatch: Sendable {
  /// Watches the root and every directory below it. Returns when every possible watch is set.
  ///
  /// - Throws: `WatchError` if the root cannot be watched.
  func start() async throws
  /// Returns when every change that happened before the call is reported.
  func fence() async
  /// Returns when the watch's loop has completed a turn.
  func answer() async
  /// Tries again to set missing watches, and reports the parts that have none.
  func retryUnwatched() async
  /// Visits places again where a filesystem was mounted or unmounted, and has them compared.
  func revisit(_ places: [RelativePath]) async
  func stop() async
}

/// Makes the watch over a root.
///
/// - Parameters:
///   - isExcluded: says which paths are neither watched nor reported.
///   - report: receives the events in order. It does not block.
/// - Throws: `WatchError`, for example at the limit of inotify instances.
typealias MakeTreeWatch =
  @Sendable (
    TreeRoot, _ isExcluded: @escaping @Sendable (RelativePath, EntryKind) -> Bool,
    _ report: @escaping @Sendable ([WatchEvent]) -> Void
  ) throws -> any TreeWatch

extension TreeWatcher: TreeWatch {}
