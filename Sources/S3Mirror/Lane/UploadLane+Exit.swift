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

  /// Ends the lane: drains what is dirty, compares everything once more, tries once more what the drain left, and
  /// deletes what is superfluous if all went well.
  /// `run` must have returned.
  func finish(_ ending: Ending) async -> MirrorReport.Upload {
    defer { schedule.close() }
    guard ending != .skipped else {
      flights.cancel()
      await flights.wait()
      await place.stop()
      return state.withLock { state in
        state.report.drift = activity.snapshot.drift
        return state.report
      }
    }
    if let timeout = settings.exitTimeout {
      let end = schedule.clock.now + timeout
      state.withLock { $0.end = end }
    }
    await place.fence()
    if schedule.isRootLost || !root.isUnchanged { _ = await recoverRoot() }
    await place.noteMounts()
    if settings.policy.interval == .zero { await poll() }
    let drained = await drain(deletes: ending == .succeeded ? .watched : .none)
    let heard = await stopListening()
    let last = await reconcileFinally(ending, heard: heard, after: drained)
    conclude(last)
    await settleUnfinished(after: last)
    // Whoever still waits for a flush learns what the end came to.
    schedule.close(answering: last)
    return state.withLock { state in
      state.report.failures = last.summary.failures
      state.report.withheldDeletes = last.summary.withheldDeletes
      state.report.withheld = Self.reported(last.withheld)
      state.report.drift = activity.snapshot.drift
      state.report.ticks = schedule.passCount
      state.report.requests = requests.counts
      return state.report
    }
  }

  /// Publishes all that is dirty, beside what is in flight, and then what waited for that.
  private func drain(deletes: Deletes) async -> PassOutcome? {
    var drained: PassOutcome?
    // What ends while the first pass runs has kept names and deletes from it all the same.
    let hasFlights = !schedule.pathsInFlight.isEmpty
    if let pass = schedule.drain() { drained = await workOff(pass, deletes: deletes, .untilDone) }
    guard hasFlights else { return drained }
    await flights.wait()
    if let pass = schedule.drain() { drained = await workOff(pass, deletes: deletes, .untilDone) }
    return drained
  }

  /// Stops the watch of a lane whose entry failed.
  func discard() async {
    flights.cancel()
    await flights.wait()
    schedule.close()
    await place.stop()
  }

  /// Says what becomes of multipart uploads whose task is about to be cancelled.
  func cancelled(leaving unfinished: UnfinishedUploads) {
    uploader.pending.whenCancelled = unfinished
    flights.cancel()
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

  private func reconcileFinally(_ ending: Ending, heard: Heard?, after drained: PassOutcome?) async
    -> PassOutcome
  {
    let deletes: Deletes = ending == .succeeded && settings.delete ? .inferred : .none
    let start = ContinuousClock.now
    let requestsBefore = requests.counts
    var outcome = PassOutcome(summary: summary(of: .exit))
    if !root.isUnchanged {
      let reason = "the local root is gone or was replaced; nothing below it was compared or deleted"
      outcome.summary.failures.append(.init(path: root.path.string, reason: reason))
    } else {
      let left = takeLeft()
      let pass = publishPass(openFiles: .snapshot, deletes: .none, markers: .stamp)
      do {
        let found = try await reconcileFinally(left, with: pass, deletes, heard, noting: &outcome)
        switch deletes {
        case .inferred: await removeExtras(found, in: &outcome)
        case .none, .watched: try await noteForeignMoves(found, in: &outcome)
        }
        if ending == .succeeded, outcome.failed.isEmpty { await retain(noting: &outcome) }
      } catch {
        outcome.summary.failures.append(.init(path: ".", FailureReason(error)))
        if Task.isCancelled {
          giveUp(left, after: drained, in: &outcome)
        } else {
          // Whether the data of markers are there was not to be found out.
          outcome = await pass.run(left, within: .init(deferred: [.root]), after: outcome)
        }
      }
      // What is still open or changing has no later pass to wait for.
      for (path, reason) in outcome.waiting.sorted(by: { $0.key < $1.key }) where outcome.failed[path] == nil
      {
        outcome.summary.failures.append(.init(path: path.string, reason: reason))
      }
    }
    finish(&outcome, since: start, requestsBefore)
    return outcome
  }

  /// Compares everything, and publishes what differs and what is left, whatever the comparison says of that: it may take a
  /// change that was told of for none.
  private func reconcileFinally(
    _ left: DirtySet.Batch, with pass: PublishPass, _ deletes: Deletes, _ heard: Heard?,
    noting outcome: inout PassOutcome
  ) async throws -> Reconciler.Findings {
    // The watch has ended, so nothing tells of what is still written.
    let polled: [RelativePath] = place.isWatching ? [.root] : []
    await polledMarkers.look(at: left.entries.keys.filter(settings.commitOrder.isMarker), in: root)
    var last = left
    var (found, drift) = try await reconcile(
      .root, with: pass, except: Set(left.entries.keys), polled: polled, markers: &last, noting: &outcome,
      isDrift: { [self] file in isDrift(file, heard: heard) })
    if deletes == .inferred {
      (found.extras, found.foreign) = try await writers.partition(found.extras)
      drift += try await driftingExtras(found, heard: heard, limit: Self.driftLimit - drift.count)
    }
    activity.note(drift: drift.count)
    if !drift.isEmpty { notices.sayDrift(drift.sorted(), foundBy: .exit, in: root, ledger: ledger) }
    outcome = await pass.run(last, within: .init(), after: outcome)
    let missing = withdrawal.missing(in: root)
    if !missing.isEmpty {
      let entry = DirtyEntry(.recheck, at: schedule.clock.now)
      let markers = DirtySet.Batch(
        entries: Dictionary(missing.map { ($0, entry) }, uniquingKeysWith: { first, _ in first }))
      outcome = await pass.run(markers, within: .init(), after: outcome)
    }
    note(found.survey, in: &outcome)
    return found
  }

  /// What the drain could not publish, and what changed since it took its batch. It stays dirty, so it is no drift. Of
  /// directories nothing is taken: everything is compared.
  private func takeLeft() -> DirtySet.Batch {
    var left = DirtySet.Batch(entries: schedule.dirtyEntries)
    var aliases = aliasesOfTree
    _ = aliases.addFurtherNames(to: &left, compared: [.root], at: schedule.clock.now) { _ in false }
    for (path, var entry) in left.entries {
      if entry.isWrittenElsewhere, isSnapshotPublished(path) {
        // Of a later version nobody told.
        left.entries[path] = nil
        continue
      }
      entry.isWrittenElsewhere = false
      // A further opening would not be told of any more.
      if entry.writer == .closed { entry.writer = .unknown }
      left.entries[path] = entry
    }
    return left
  }

  private func isSnapshotPublished(_ path: RelativePath) -> Bool {
    root.stamp(ofFileAt: path).map { ledger.holdsSnapshot(of: path, $0) } ?? false
  }

  /// Tells of what is left when the end is cut short.
  private func giveUp(_ left: DirtySet.Batch, after drained: PassOutcome?, in outcome: inout PassOutcome) {
    for path in left.entries.keys.sorted() {
      // Only its delete is left.
      if case .success(nil) = Result(catching: { try root.look(at: path) }) { continue }
      outcome.fail(path, because: drained?.failed[path] ?? FailureReason(CancellationError()))
    }
  }

  /// Deletes what the comparison found superfluous, unless the guard withholds it (DEL-6).
  private func removeExtras(_ found: Reconciler.Findings, in outcome: inout PassOutcome) async {
    let isEntryEmpty = state.withLock { $0.isGuardedByEmptyEntry }
    // A renamed file's old object, and what an old marker on S3 may name, stay until the new ones are there.
    let general = found.survey.blanketReason(
      bound: settings.bound, wasEmptyAtEntry: isEntryEmpty, unpublished: outcome.reasonToWithholdDeletes)
    let blanket = place.isThatOfEntry ? general : .rootUnavailable
    let deletes = InferredDeletes(
      root: root, survey: found.survey, bound: settings.bound, blanket: blanket,
      hiddenPlaces: place.hiddenPlaces, foreign: found.foreign)
    outcome.take(await deletes.carryOut(found.extras, with: remover))
  }

  /// Reports the old objects of renamed files that stay because another writer has written over them.
  private func noteForeignMoves(_ found: Reconciler.Findings, in outcome: inout PassOutcome) async throws {
    guard !foreignObjects.isEmpty else { return }
    try await found.extras.entries.forEachBatch(of: Self.driftLimit) { entries in
      for entry in entries where foreignObjects.contains(entry.path, entry.object) {
        outcome.withhold(entry.path, .foreign)
      }
    }
  }
}
