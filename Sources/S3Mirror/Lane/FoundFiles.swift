import MirrorModel

/// Publishes the files that a comparison finds, while the comparison goes on.
///
/// Commit markers and pointers are only collected. The caller's last pass publishes them, when all data are on
/// S3.
struct FoundFiles: ReconciliationObserver {
  /// Publishes the batches. It must not delete.
  let pass: PublishPass
  let activity: LaneActivity
  /// Why a part of the tree is compared; nil if everything is compared.
  let reason: RescanReason?
  let hearing: Hearing
  /// Nil if no file that differs can be drift.
  var drift: DriftSearch?
  /// The joined result of all batches.
  var outcome: PassOutcome
  private(set) var markers = DirtySet.Batch()

  /// What the watch has told of the files before they are compared.
  enum Hearing: Sendable {
    /// All changes.
    case everything
    /// Nothing, because the watch has just begun or there is none. So it is not known whether an open file was
    /// complete before (PUB-19). The wall clock gives nanoseconds since 1970-01-01 UTC.
    case nothing(wallClock: @Sendable () -> Int64)
  }

  /// Finds which of the files that differ are drift.
  struct DriftSearch: Sendable {
    let isDrift: @Sendable (LocalEntry) -> Bool
    let limit: Int
    private(set) var paths: [RelativePath] = []

    init(limit: Int, isDrift: @escaping @Sendable (LocalEntry) -> Bool) {
      self.limit = limit
      self.isDrift = isDrift
    }

    mutating func look(at copies: [ContentComparison.Copy]) {
      for case .file(let file, _, _) in copies where paths.count < limit && isDrift(file) {
        paths.append(file.path)
      }
    }
  }

  init(
    pass: PublishPass, activity: LaneActivity, reason: RescanReason?, hearing: Hearing,
    drift: DriftSearch? = nil, outcome: PassOutcome
  ) {
    self.hearing = hearing
    self.reason = reason
    self.pass = pass
    self.activity = activity
    self.drift = drift
    self.outcome = outcome
  }

  mutating func take(_ copies: [ContentComparison.Copy]) async {
    // Drift is judged before publishing, because a published file no longer differs.
    drift?.look(at: copies)
    var batch = batch(of: copies)
    for (path, entry) in batch.entries where pass.commitOrder.isMarker(path) || entry.pointsTo != nil {
      markers.entries[path] = entry
      batch.entries[path] = nil
    }
    outcome = await pass.run(batch, within: .init(), after: outcome)
    if case .nothing(let wallClock) = hearing { noteAges(of: batch.entries.keys, wallClock) }
    takeWithdrawn()
    // Settled after each batch, so that the list of published paths stays short.
    activity.settle(outcome.settled)
    outcome.settled = []
    outcome.met = []
  }

  /// Adds the markers that were removed from S3 before data of a batch.
  private mutating func takeWithdrawn() {
    let now = pass.clock.now
    for marker in pass.publisher.withdrawal.missing(in: pass.publisher.root)
    where markers.entries[marker] == nil {
      markers.entries[marker] = DirtyEntry(.recheck, at: now)
    }
  }

  /// Notes since when the files existed that turned out to be open.
  private mutating func noteAges(of paths: some Sequence<RelativePath>, _ wallClock: () -> Int64) {
    let root = pass.publisher.root
    for path in paths where outcome.unpublished.entries[path]?.isOpen == true {
      outcome.unpublished.entries[path]?.unwatched = UnwatchedTime(
        since: root.birth(ofFileAt: path), until: wallClock())
    }
  }

  /// The paths to be published, with an entry for each.
  private func batch(of copies: [ContentComparison.Copy]) -> DirtySet.Batch {
    let now = pass.clock.now
    let fresh = DirtyEntry(foundBecauseOf: reason, at: now)
    let absent = DirtyEntry(foundBecauseOf: reason, at: now, isNew: true)
    var batch = DirtySet.Batch()
    for copy in copies {
      var entry = copy.reason == .absent ? absent : fresh
      if case .file(let file, _, _) = copy { entry.pointsTo = file.target }
      batch.entries[copy.path] = entry
    }
    return batch
  }
}
