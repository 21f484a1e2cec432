import LocalTree
import MirrorModel

// A root that was deleted, replaced, moved away, unmounted or made unreadable. Files that are missing below
// it then do not count as deleted.
extension UploadLane {
  /// Checks whether the root is in its place, opens it again if it has come back, and polls what must be
  /// polled.
  func look(answering flushes: [Flush]) async {
    if schedule.isRootLost || !root.isUnchanged || root.isForbidden {
      guard await recoverRoot() else {
        for flush in flushes { flush.answer(rootIsLost) }
        return
      }
    } else {
      await place.noteMounts()
      // With an interval every pass polls, so each part that still has no watch is dirty by now.
      if settings.policy.interval == .zero { await poll() }
      notices.sayOver(besides: Set(schedule.polled.values))
    }
    schedule.repeatFlushes(flushes)
  }

  /// Marks the parts dirty whose changes no event reports, so that the next pass compares them.
  func poll() async {
    await place.retryUnwatched()
    schedule.note(aliases.withTable { $0.pollLinks() })
  }

  /// Does the same for links that were found just now.
  func tellOfFreshLinks() {
    guard settings.symlinks == .follow else { return }
    schedule.note(aliases.withTable { $0.takeFreshLinks() })
    place.noteFollowedLinks()
  }

  /// - Returns: whether the root is there. If so, it must be compared.
  func recoverRoot() async -> Bool {
    schedule.noteRootLost()
    do {
      try await place.renew { schedule.noteRootReturned() }
    } catch {
      schedule.noteRootLost()
      notices.sayRootLost(root.path.string, because: error)
      return false
    }
    notices.sayRootReturned(root.path.string, isThatOfEntry: place.isThatOfEntry)
    return true
  }

  /// Accepts new or removed mounts as normal if a comparison found a file for every object below them. No
  /// file is hidden then, so deletes below them count again.
  nonisolated(nonsending) func accept(
    _ alterations: [RelativePath: Mount?], after found: Reconciler.Findings
  ) async throws {
    var harmless = alterations
    if harmless.isEmpty { return }
    try await found.extras.entries.forEachBatch(of: Self.driftLimit) { extras in
      harmless = harmless.filter { place, _ in !extras.contains { $0.path.isWithin(place) } }
    }
    harmless = harmless.filter { place, _ in
      !found.survey.unreadable.keys.contains { $0.isWithin(place) || place.isWithin($0) }
    }
    self.place.accept(harmless)
  }

  private var rootIsLost: PassOutcome {
    var outcome = PassOutcome(summary: summary(of: .flush))
    outcome.summary.failures.append(
      .init(
        path: root.path.string,
        reason: "the local root is gone or may not be read; nothing below it could be published"))
    return outcome
  }
}
