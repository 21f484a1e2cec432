import LocalTree
import MirrorModel

/// Local files without an object, in a download with `delete`.
extension DownloadJob {
  /// Removes local files without an object, or notes why they stay.
  func removeExtras(
    _ extras: Spool<LocalEntry>, of root: TreeRoot, survey: Survey, in outcome: inout Outcome
  ) async throws {
    guard !extras.isEmpty else { return }
    let reason = reasonToKeepExtras(
      extras.count, of: root, survey: survey, isWhole: outcome.failures.isEmpty)
    // A marker is removed before its data, and `latest` before the markers to which it leads.
    var markers: [LocalEntry] = []
    try await extras.forEachBatch(of: 1_000) { files in
      markers += files.filter { commitOrder.isMarker($0.path) }
    }
    markers.sort { $0.path.ancestors.count < $1.path.ancestors.count }
    var left: [RelativePath] = []
    for marker in markers where !settle(marker, of: root, keptFor: reason, in: &outcome) {
      left.append(marker.path)
    }
    try await extras.forEachBatch(of: 1_000) { files in
      for file in files where !commitOrder.isMarker(file.path) {
        // A reader that follows the marker must find the marker's data.
        let marker = left.first { file.path.isWithin($0.parent) }
        settle(file, of: root, keptFor: reason ?? marker.map { .namedBy($0) }, in: &outcome)
      }
    }
  }

  /// - Returns: whether the file is gone.
  @discardableResult
  private func settle(
    _ file: LocalEntry, of root: TreeRoot, keptFor reason: WithheldReason?, in outcome: inout Outcome
  ) -> Bool {
    if let reason {
      outcome.withhold(file.path, reason)
      return false
    }
    return remove(file, of: root, in: &outcome)
  }

  /// Why local files without an object stay; nil if they may go.
  ///
  /// - Parameter isWhole: whether every object under the prefix has its file here now.
  func reasonToKeepExtras(_ count: Int, of root: TreeRoot, survey: Survey, isWhole: Bool) -> WithheldReason? {
    // If a file was refused or failed, it is not certain what is on S3.
    if !isWhole || !survey.unreadable.isEmpty { return .unseen(.root) }
    if !root.isUnchanged { return .rootUnavailable }
    let verdict = DeleteGuard.judge(deletes: count, of: survey.localFiles, .files, bound: bound)
    guard case .withheld(let reason) = verdict else { return nil }
    return reason
  }

  private func remove(_ file: LocalEntry, of root: TreeRoot, in outcome: inout Outcome) -> Bool {
    do {
      // A file that was written after the comparison is not the compared file.
      guard let now = try root.look(at: file.path) else { return true }
      guard now.kind == .file, now.stamp.isSameVersion(as: file.stamp) else {
        outcome.withhold(file.path, .rewritten)
        return false
      }
      try root.remove(file.path)
      journal.deletedLocally(mirror: name, path: file.path)
      outcome.deleted += 1
      return true
    } catch {
      outcome.failures.append(.init(path: file.path.string, FailureReason(error)))
      return false
    }
  }
}
