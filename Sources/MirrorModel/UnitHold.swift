/// New directories that a program is still writing. A tick leaves such a directory until it seems complete
/// (UNIT-5).
///
/// A checkpoint takes longer to write than a file. A tick in the middle would publish a directory that stays
/// incomplete until the next tick. So a directory that appeared in this run, and of which nothing is on S3,
/// waits until it has been quiet for `settle` and none of its files is open for writing.
///
/// If a commit marker waits above the directory, the directory is published at once. Readers follow the
/// marker, and a program that saves continuously would otherwise never get a marker to S3. If the newest file
/// in the directory is a closed marker, the directory is complete.
struct UnitHold: Sendable {
  private struct Wait {
    /// The time of the tick that first left the directory.
    var since: Instant
    /// A file of the directory was seen open while the directory waited.
    var wasOpen = false
  }

  private struct Writing {
    var newest: Instant
    var isOpen = false
  }

  private let waits: [RelativePath: Wait]

  init() { waits = [:] }

  /// - Parameter earlier: the result of the last look.
  init(_ dirty: DirtySet, policy: UploadSchedule.Policy, after earlier: UnitHold, at now: Instant) {
    var waits: [RelativePath: Wait] = [:]
    let markers = dirty.entries.filter { !$0.value.isGone && policy.commitOrder.isMarker($0.key) }
    for (unit, writing) in Self.writing(in: dirty, policy) {
      if markers.keys.contains(where: { unit.isWithin($0.parent) && $0.parent != unit }) { continue }
      let isMarked = markers.contains { $0.key.isWithin(unit) && $0.value.lastChange == writing.newest }
      if isMarked, !writing.isOpen { continue }
      guard writing.isOpen || writing.newest + policy.unitPause > now else { continue }
      var wait = earlier.waits[unit] ?? Wait(since: now)
      if writing.isOpen { wait.wasOpen = true }
      guard wait.since + (wait.wasOpen ? policy.longestWriting : policy.longestUnsettled) > now else {
        continue
      }
      waits[unit] = wait
    }
    self.waits = waits
  }

  private static func writing(in dirty: DirtySet, _ policy: UploadSchedule.Policy) -> [RelativePath: Writing]
  {
    if dirty.unseenDirectories.isEmpty { return [:] }
    var writing: [RelativePath: Writing] = [:]
    for (path, entry) in dirty.entries where !entry.isGone && !policy.appendNames.contains(path) {
      guard let unit = dirty.unseenDirectory(above: path) else { continue }
      var known = writing[unit] ?? Writing(newest: entry.lastChange)
      known.newest = max(known.newest, entry.lastChange)
      if entry.isOpen { known.isOpen = true }
      writing[unit] = known
    }
    return writing
  }

  /// The directories that wait.
  var units: Set<RelativePath> { Set(waits.keys) }

  var isEmpty: Bool { waits.isEmpty }

  func contains(_ path: RelativePath) -> Bool {
    !waits.isEmpty && path.ancestors.contains { waits[$0] != nil }
  }
}
