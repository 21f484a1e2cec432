import MirrorModel

/// Publishes what a comparison finds, while the comparison goes on.
///
/// Commit markers are only gathered: they go when all data are there, in the pass that the caller ends with.
struct FoundFiles: ReconciliationObserver {
  /// Publishes the batches. It must not delete.
  let pass: PublishPass
  let activity: LaneActivity
  /// Why the part of the tree is compared; nil for a comparison of everything.
  let reason: RescanReason?
  /// Nil where no file that differs can be drift.
  var drift: DriftSearch?
  /// What all batches come to.
  var outcome: PassOutcome
  private(set) var markers = DirtySet.Batch()

  /// Which of the files that differ are drift.
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
    pass: PublishPass, activity: LaneActivity, reason: RescanReason?, drift: DriftSearch? = nil,
    outcome: PassOutcome
  ) {
    self.reason = reason
    self.pass = pass
    self.activity = activity
    self.drift = drift
    self.outcome = outcome
  }

  mutating func take(_ copies: [ContentComparison.Copy]) async {
    // Before they are published: a published file is drift no more.
    drift?.look(at: copies)
    var batch = batch(of: copies)
    for (path, entry) in batch.entries where pass.commitOrder.isMarker(path) {
      markers.entries[path] = entry
      batch.entries[path] = nil
    }
    outcome = await pass.run(batch, within: .init(), after: outcome)
    // A batch at a time, so that no list of what was published grows.
    activity.settle(outcome.settled)
    outcome.settled = []
    outcome.met = []
  }

  /// What must be published.
  private func batch(of copies: [ContentComparison.Copy]) -> DirtySet.Batch {
    let now = pass.clock.now
    let fresh = DirtyEntry(foundBecauseOf: reason, at: now)
    let absent = DirtyEntry(foundBecauseOf: reason, at: now, isNew: true)
    var batch = DirtySet.Batch()
    for copy in copies {
      batch.entries[copy.path] = copy.reason == .absent ? absent : fresh
    }
    return batch
  }
}
