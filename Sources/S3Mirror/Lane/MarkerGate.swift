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
  let order: CommitOrder
  let strictness: MarkerStrictness
  let schedule: LaneSchedule
  let fence: @Sendable () async -> Void
  let polled: PolledMarkers
  let aliases: Aliases
  let root: TreeRoot

  func isMarker(_ path: RelativePath) -> Bool { order.isMarker(path) }

  /// Which versions of a file may go. Where no event tells that a marker was rewritten, only the one that is there.
  func publishableVersions(of path: RelativePath) -> PublishableVersions {
    order.isMarker(path) && strictness == .stamp ? .current : .anyWhole
  }

  /// - Throws: `UploadAbandoned.heldBack` when the path has to wait: a marker for its data, data for an in-progress mark.
  func check(_ path: RelativePath) async throws {
    if await isUnderNewMark(path) { throw UploadAbandoned.heldBack }
    guard order.isMarker(path) else { return }
    if await isHeldByEvents(path) || !polled.isUnchanged(path, in: root) { throw UploadAbandoned.heldBack }
  }

  /// Those of the markers that nothing has happened to since the batch was taken.
  func untouched<Version>(_ markers: [RelativePath: Version]) async -> [RelativePath: Version] {
    await fence()
    return markers.filter { path, _ in
      !aliases.others(of: path).contains(where: schedule.isWaiting)
        && !schedule.dirtyPaths(within: path.parent).contains(where: path.isWithin)
    }
  }

  /// Whether an in-progress mark has come since the batch was taken that speaks for the path: the bytes in hand may be those that the
  /// mark announces.
  private func isUnderNewMark(_ path: RelativePath) async -> Bool {
    guard strictness != .stamp, schedule.hasMetMarks, !order.marks.contains(path) else { return false }
    await fence()
    return schedule.isUnderWaitingMark(path)
  }

  private func isHeldByEvents(_ path: RelativePath) async -> Bool {
    if strictness == .stamp { return false }
    await fence()
    // The table is asked for each path that is dirty, so it is taken once.
    return aliases.withTable { table in
      schedule.holdsBack(path, order: order, strictness) { table.others(of: $0) }
    }
  }
}
