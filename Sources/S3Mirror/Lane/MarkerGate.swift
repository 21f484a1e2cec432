import LocalTree
import MirrorModel
import Transfers

/// Keeps a commit marker from appearing on S3 before its data.
///
/// A pass publishes the data of its batch and then reads the marker. The trainer may have rewritten the
/// marker since the batch was taken; it would then name data that no pass has published. So all events until
/// now are read after the marker's bytes are read and before they are sent. If the marker is dirty again and
/// data are dirty too, the marker waits for the next pass. If no data are dirty, everything that these bytes
/// can name is published, and they are sent: otherwise a marker that is rewritten constantly would never be
/// published.
struct MarkerGate: Sendable {
  let order: CommitOrder
  let strictness: MarkerStrictness
  let schedule: LaneSchedule
  let fence: @Sendable () async -> Void
  let polled: PolledMarkers
  let aliases: Aliases
  let root: TreeRoot
  /// Nil if the mirror belongs to no group.
  var group: LaneGroup?

  func isMarker(_ path: RelativePath) -> Bool { order.isMarker(path) }

  /// Which versions of a file may be published. If no event reports that a marker was rewritten, only the
  /// version that has the name now.
  func publishableVersions(of path: RelativePath) -> PublishableVersions {
    order.isMarker(path) && strictness == .stamp ? .current : .anyWhole
  }

  /// - Throws: `UploadAbandoned.heldBack` if a marker must wait for its data, or data for an in-progress
  ///   mark.
  func check(_ path: RelativePath) async throws {
    let isMarker = order.isMarker(path)
    let mayBeAnnounced = schedule.hasMetMarks && !order.marks.contains(path)
    if strictness != .stamp, isMarker || mayBeAnnounced {
      await fence()
      // An in-progress mark appeared since the batch was taken. It may announce the bytes that were just
      // read.
      if mayBeAnnounced, schedule.isUnderWaitingMark(path) { throw UploadAbandoned.heldBack }
      if isMarker, isHeldByEvents(path) { throw UploadAbandoned.heldBack }
    }
    if isMarker, !polled.isUnchanged(path, in: root) { throw UploadAbandoned.heldBack }
    // The group has released the version that it knows, and no later one.
    if isMarker, let group, !group.mayAppear(path, in: root) { throw UploadAbandoned.heldBack }
  }

  /// Keeps a pointer from appearing on S3 before the same version of its target.
  ///
  /// - Parameter isPublished: whether the target's present version is on S3 under its own name.
  /// - Throws: `UploadAbandoned.heldBack` if the pointer must wait for its target.
  func check(pointerTo target: RelativePath, isPublished: () -> Bool) async throws {
    // The plan has ordered everything that the watch reported until its end. A link to a marker is published
    // like a marker.
    if strictness == .stamp || order.isMarker(target) { return }
    await fence()
    let names = aliases.others(of: target)
    if schedule.holdsBack(pointerTo: target, isPublished: isPublished(), otherNames: names) {
      throw UploadAbandoned.heldBack
    }
  }

  /// The markers to which nothing has happened since the batch was taken.
  func untouched<Version>(_ markers: [RelativePath: Version]) async -> [RelativePath: Version] {
    await fence()
    return markers.filter { path, _ in
      !aliases.others(of: path).contains(where: schedule.isWaiting)
        && !schedule.dirtyPaths(within: path.parent).contains(where: path.isWithin)
    }
  }

  private func isHeldByEvents(_ path: RelativePath) -> Bool {
    // The closure is called for each dirty path, so the table is locked only once.
    aliases.withTable { table in
      schedule.holdsBack(path, order: order, strictness) { table.others(of: $0) }
    }
  }
}
