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
    let isMarker = order.isMarker(path)
    let mayBeAnnounced = schedule.hasMetMarks && !order.marks.contains(path)
    if strictness != .stamp, isMarker || mayBeAnnounced {
      await fence()
      // An in-progress mark has come since the batch was taken: the bytes in hand may be those that it announces.
      if mayBeAnnounced, schedule.isUnderWaitingMark(path) { throw UploadAbandoned.heldBack }
      if isMarker, isHeldByEvents(path) { throw UploadAbandoned.heldBack }
    }
    if isMarker, !polled.isUnchanged(path, in: root) { throw UploadAbandoned.heldBack }
  }

  /// Those of the markers that nothing has happened to since the batch was taken.
  func untouched<Version>(_ markers: [RelativePath: Version]) async -> [RelativePath: Version] {
    await fence()
    return markers.filter { path, _ in
      !aliases.others(of: path).contains(where: schedule.isWaiting)
        && !schedule.dirtyPaths(within: path.parent).contains(where: path.isWithin)
    }
  }

  private func isHeldByEvents(_ path: RelativePath) -> Bool {
    // The table is asked for each path that is dirty, so it is taken once.
    aliases.withTable { table in
      schedule.holdsBack(path, order: order, strictness) { table.others(of: $0) }
    }
  }
}
