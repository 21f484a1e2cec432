import LocalTree
import MirrorModel
import S3Client
import Transfers

/// How an upload ends, and uploads that are nothing but an end: one comparison, and deletes at last.
extension UploadLane {
  // MARK: One shot

  /// Compares once, publishes what differs, and deletes what is superfluous if that was asked for.
  func publishOnce() async throws -> MirrorReport.Upload {
    try await takeStock()
    return await finish(.succeeded)
  }

  // MARK: Exit

  /// Ends the lane: drains what is dirty, compares everything once more, and deletes what is superfluous if all went well.
  /// `run` must have returned.
  func finish(_ ending: Ending) async -> MirrorReport.Upload {
    defer { schedule.close() }
    guard ending != .skipped else {
      await place.stop()
      return state.withLock { state in
        state.report.drift = activity.snapshot.drift
        return state.report
      }
    }
    await place.fence()
    if schedule.isRootLost || !root.isUnchanged { _ = await recoverRoot() }
    if settings.policy.interval == .zero { await poll() }
    if let pass = schedule.drain() {
      let outcome = await carryOut(pass, deletes: ending == .succeeded ? .watched : .none)
      schedule.finish(outcome)
      conclude(outcome)
    }
    let heard = await stopListening()
    let last = await reconcileFinally(
      deletes: ending == .succeeded && settings.delete ? .inferred : .none, heard: heard)
    conclude(last)
    // Whoever still waits for a flush learns what the end came to.
    schedule.close(answering: last)
    return state.withLock { state in
      state.report.failures = last.summary.failures
      state.report.withheldDeletes = last.summary.withheldDeletes
      state.report.withheld = last.withheld.sorted { $0.key < $1.key }.map { path, reason in
        .init(path: path.string, reason: reason.description)
      }
      state.report.drift = activity.snapshot.drift
      state.report.ticks = schedule.passCount
      state.report.requests = requests.counts
      return state.report
    }
  }

  /// Stops the watch of a lane whose entry failed.
  func discard() async {
    schedule.close()
    await place.stop()
  }

  /// Says what becomes of multipart uploads whose task is about to be cancelled.
  func cancelled(leaving unfinished: UnfinishedUploads) {
    uploader.pending.whenCancelled = unfinished
  }

  /// Lets `run` return after the pass in hand.
  func requestEnd() {
    schedule.requestEnd()
  }

  /// Whether an object without a file is no sign of a missed event.
  var mayHoldExtras: Bool { state.withLock { $0.mayHoldExtras } }

  /// For tests: acts as if the kernel had dropped the events that wait to be read.
  func injectOverflow() async {
    await place.injectOverflow()
  }

  /// For tests: acts as if the kernel had dropped the events of this change.
  func injectOverflow(losing change: @Sendable () throws -> Void) async throws {
    try await place.injectOverflow(losing: change)
  }

  private func reconcileFinally(deletes: Deletes, heard: Heard?) async -> PassOutcome {
    let start = ContinuousClock.now
    let requestsBefore = requests.counts
    var outcome = PassOutcome(summary: summary(of: .exit))
    if !root.isUnchanged {
      let reason = "the local root is gone or was replaced; nothing below it was compared or deleted"
      outcome.summary.failures.append(.init(path: root.path.string, reason: reason))
    } else {
      do {
        var markers = DirtySet.Batch()
        let pass = publishPass(openFiles: .snapshot, deletes: .none, markers: .directory)
        // The watch has ended, so nothing tells of what is still written.
        let polled: [RelativePath] = place.isWatching ? [.root] : []
        var drift: [RelativePath] = []
        let found = try await reconcile(
          .root, with: pass, polled: polled, markers: &markers, noting: &outcome
        ) { files in
          for file in files where drift.count < Self.driftLimit && isDrift(file, heard: heard) {
            drift.append(file.path)
          }
        }
        if deletes == .inferred {
          drift += try await driftingExtras(found, heard: heard, limit: Self.driftLimit - drift.count)
        }
        activity.note(drift: drift.count)
        if !drift.isEmpty { notices.sayDrift(drift.sorted(), foundBy: .exit) }
        outcome = await pass.run(markers, deferred: [], after: outcome)
        note(found.survey, in: &outcome)
        // What is still open or changing has no later pass to wait for.
        for path in outcome.unpublished.entries.keys where outcome.failed[path] == nil {
          let reason = "it is open for writing or keeps changing, so no whole version could be read"
          outcome.summary.failures.append(.init(path: path.string, reason: reason))
        }
        if deletes == .inferred { await removeExtras(found, in: &outcome) }
      } catch {
        outcome.summary.failures.append(.init(path: ".", reason: cause(of: error)))
      }
    }
    finish(&outcome, since: start, requestsBefore)
    return outcome
  }

  /// Deletes what the comparison found superfluous, unless SPEC 5 withholds it.
  private func removeExtras(_ found: Reconciler.Findings, in outcome: inout PassOutcome) async {
    let isEntryEmpty = state.withLock { $0.isGuardedByEmptyEntry }
    let general = found.survey.blanketReason(
      bound: settings.bound, wasEmptyAtEntry: isEntryEmpty, uploadsFailed: !outcome.failed.isEmpty)
    let blanket = place.isThatOfEntry ? general : .rootUnavailable
    let deletes = InferredDeletes(root: root, survey: found.survey, bound: settings.bound, blanket: blanket)
    await deletes.carryOut(found.extras, with: remover, noting: &outcome)
  }
}
