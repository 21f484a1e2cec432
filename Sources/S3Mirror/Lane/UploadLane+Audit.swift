import LocalTree
import MirrorModel

// The proof that the watch misses nothing: now and then everything is compared, and nothing should be found.
extension UploadLane {
  /// Paths of one audit that are taken up at once; the next audit finds the others.
  private static let auditLimit = 10_000

  /// Compares everything, counts what differs though no event told of it, and has it published.
  func audit() async {
    let start = ContinuousClock.now
    let requestsBefore = requests.counts
    var outcome = PassOutcome(summary: summary(of: .audit))
    do {
      let drift = try await drift(noting: &outcome)
      activity.note(drift: drift.count)
      if !drift.isEmpty {
        notices.sayDrift(drift.sorted())
        let now = ContinuousClock.now
        let entry = DirtyEntry(writing: .unknown, firstChange: now, lastChange: now)
        schedule.adopt(
          DirtySet.Batch(
            entries: Dictionary(drift.map { ($0, entry) }, uniquingKeysWith: { first, _ in first })))
      }
    } catch {
      outcome.summary.failures.append(.init(path: ".", reason: cause(of: error)))
    }
    finish(&outcome, since: start, requestsBefore)
    journal.passed(outcome.summary)
  }

  /// What a comparison finds and the dirty set does not know, when it has heard of everything that happened meanwhile.
  private func drift(noting outcome: inout PassOutcome) async throws -> [RelativePath] {
    let reconciler = reconciler
    var found: [RelativePath] = []
    let (survey, extras) = try await reconciler.surveyor.survey(.root) { differences in
      let copies = await reconciler.content.settle(differences, width: reconciler.width)
      found += copies.map(\.file.path).prefix(Self.auditLimit - found.count)
    }
    note(survey, in: &outcome)
    if settings.delete, !mayHoldExtras {
      try await extras.entries.forEachBatch(of: Self.auditLimit) { entries in
        let gone = entries.map(\.path).filter { !$0.hasTrailingSlash && survey.reasonToKeep($0) == nil }
        found += gone.prefix(Self.auditLimit - found.count)
      }
    }
    await place.fence()
    // What is polled is known to be behind.
    if settings.policy.interval == .zero { await poll() }
    defer { tellOfFreshLinks() }
    guard !schedule.isRootLost else { return [] }
    return found.filter { !schedule.isDirty($0) && !isBeingWritten($0) }
  }

  /// A file that is written through a mapping, or that has become a link or directory, differs by right.
  private func isBeingWritten(_ path: RelativePath) -> Bool {
    do {
      guard let entry = try root.look(at: path) else { return false }
      guard entry.kind == .file, let file = try root.open(path) else { return true }
      return file.probeWriters() == .present
    } catch {
      // It is reported by whoever has to publish it.
      return true
    }
  }
}
