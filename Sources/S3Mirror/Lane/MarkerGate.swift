import LocalTree
import MirrorModel
import Transfers

/// Keeps a commit marker from running ahead of its data.
///
/// A pass publishes the data of its batch and then reads the marker, which the trainer may have rewritten since the
/// batch was taken: it would then name data that no pass has seen. So, after the marker's bytes are read and
/// before they are sent, every event until now is drawn in: a marker that is dirty again waits for the next pass if data are
/// dirty too. If none are, all that these bytes can name is published, and they go: else a marker that is rewritten all the time
/// would never go.
struct MarkerGate: Sendable {
  /// What must not be dirty when a marker goes.
  enum Strictness: Sendable {
    /// The batch held all data closed before the marker: nothing if the marker is rewritten, or a directory to compare above it.
    case marker
    /// The batch comes from a comparison, which saw the tree at no single moment: nothing under its directory.
    case directory
    /// The watch has ended, and the batch holds what it had told of: only the marker's stamp can speak against it.
    case stamp
  }

  let order: CommitOrder
  let strictness: Strictness
  let schedule: LaneSchedule
  let fence: @Sendable () async -> Void
  let polled: PolledMarkers
  let links: LinkedNames
  let root: TreeRoot

  func isMarker(_ path: RelativePath) -> Bool { order.isMarker(path) }

  /// Which versions of a file may go. Where no event tells that a marker was rewritten, only the one that is there.
  func publishableVersions(of path: RelativePath) -> PublishableVersions {
    order.isMarker(path) && strictness == .stamp ? .current : .anyWhole
  }

  /// - Throws: `UploadAbandoned.heldBack` when the marker has to wait.
  func check(_ path: RelativePath) async throws {
    guard order.isMarker(path) else { return }
    if await isHeldByEvents(path) || !polled.isUnchanged(path, in: root) { throw UploadAbandoned.heldBack }
  }

  /// Those of the markers that nothing has happened to since the batch was taken.
  func untouched<Version>(_ markers: [RelativePath: Version]) async -> [RelativePath: Version] {
    await fence()
    return markers.filter { path, _ in
      !links.others(of: path).contains(where: schedule.isWaiting)
        && !schedule.dirtyPaths(within: path.parent).contains(where: path.isWithin)
    }
  }

  private func isHeldByEvents(_ path: RelativePath) async -> Bool {
    if strictness == .stamp { return false }
    await fence()
    // Written under another name of its file.
    if links.others(of: path).contains(where: schedule.isWaiting) { return true }
    let dirty = schedule.dirtyPaths(within: path.parent)
    if dirty.contains(where: { $0 != path && path.isWithin($0) }) { return true }
    switch strictness {
    case .marker:
      // Every change of data is told of, so the bytes in hand name nothing that is not published or dirty; a directory that has
      // come since the batch was taken may have got no watch.
      guard dirty.contains(path) else { return false }
      return order.obstacle(to: path, among: dirty + schedule.polled.keys) != nil
    case .directory, .stamp:
      // Data in a directory without a watch may have changed with the marker, and no event says so.
      return dirty.contains(path) || order.obstacle(to: path, among: dirty) != nil
    }
  }
}
