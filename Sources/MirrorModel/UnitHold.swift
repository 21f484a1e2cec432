/// New directories that a program is still writing: a tick leaves them until they are whole, as far as that can be seen (UNIT-5).
///
/// A checkpoint takes longer to write than a file. A tick in the middle would show a directory to readers that is not complete before the
/// next tick. So a directory that came in this run, and of which nothing is on S3, waits until it has been quiet for `settle` and none of
/// its files is being written.
///
/// Where a commit marker waits above it, readers follow the marker, and the directory goes at once: else a program that saves all the
/// time would have no marker on S3. A marker in it that was closed last says that it is whole.
struct UnitHold: Sendable {
  private struct Wait {
    /// Of the tick that left the directory first.
    var since: Instant
    /// A file of it was seen open while it waited.
    var wasOpen = false
  }

  private struct Writing {
    var newest: Instant
    var isOpen = false
  }

  private let waits: [RelativePath: Wait]

  init() { waits = [:] }

  /// - Parameter earlier: what the last look left.
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
