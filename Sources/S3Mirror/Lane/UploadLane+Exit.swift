import LocalTree
import MirrorModel
import S3Client
import Transfers

/// The end of an upload. A one-shot upload consists of an end only: one comparison, then the deletes.
extension UploadLane {
  // MARK: One shot

  /// Compares once, publishes what differs, and deletes superfluous objects if the caller asked for deletes.
  func publishOnce() async throws -> MirrorReport.Upload {
    try await joinGroup()
    if group?.defersEntry() == true { await group?.waitUntilSettled() }
    try await takeStock()
    return await finish(.succeeded)
  }

  // MARK: Exit

  /// Ends the lane: publishes what is dirty, compares everything once more, tries again what is still
  /// unpublished, and deletes superfluous objects if everything succeeded. `run` must have returned.
  func finish(_ ending: Ending) async -> MirrorReport.Upload {
    defer { schedule.close() }
    let fence = group?.driver.fenceError
    guard ending != .skipped, fence == nil else {
      flights.cancel()
      await flights.wait()
      await place.stop()
      await group?.leave()
      var report = counts
      if let fence { report.failures = [.init(path: ".", reason: fence.message)] }
      return report
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
    await place.stop()
    conclude(last)
    await settleUnfinished(after: last)
    // Flushes that still wait get the result of the end.
    schedule.close(answering: last)
    await group?.end()
    let takenOver = group?.driver.fenceError
    var report = reportSoFar
    report.failures = last.summary.failures
    if let takenOver { report.failures.append(.init(path: ".", reason: takenOver.message)) }
    return report
  }

  /// Publishes everything that is dirty while flights go on, then what waited for these flights.
  private func drain(deletes: Deletes) async -> PassOutcome? {
    var drained: PassOutcome?
    // A flight that ends during the first pass has still kept paths and deletes out of that pass.
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
    await group?.leave()
  }

  /// Sets what happens to multipart uploads whose tasks are about to be cancelled.
  func cancelled(leaving unfinished: UnfinishedUploads) {
    uploader.pending.whenCancelled = unfinished
    flights.cancel()
    // The end waits for no other member any more.
    group?.driver.stop()
  }

  /// Makes `run` return after the current pass.
  func requestEnd() {
    schedule.requestEnd()
  }

  /// Whether an object without a file is no sign of a missed event.
  var mayHoldExtras: Bool { state.withLock { $0.mayHoldExtras } }

  private func reconcileFinally(_ ending: Ending, heard: Heard?, after drained: PassOutcome?) async
    -> PassOutcome
  {
    let deletes: Deletes = ending == .succeeded && settings.delete ? .inferred : .none
    let start = Instant.now
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
        await publishMarkersOfGroup(with: pass, noting: &outcome)
        switch deletes {
        case .inferred:
          if found.extras.count > 0 { await place.fence() }
          await removeExtras(found, in: &outcome)
        case .none, .watched: try await noteForeignMoves(found, in: &outcome)
        }
        let isWhole = ending == .succeeded && outcome.failed.isEmpty
        await publishDueReceipts(isWhole ? .ended : .running, noting: &outcome)
        if deletes == .inferred { await removeReceipts(noting: &outcome) }
        if isWhole { await retain(noting: &outcome) }
      } catch {
        outcome.summary.failures.append(.init(path: ".", FailureReason(error)))
        if Task.isCancelled {
          giveUp(left, after: drained, in: &outcome)
        } else {
          // It is not known whether the data of the markers are published.
          outcome = await pass.run(left, within: .init(deferred: [.root]), after: outcome)
        }
      }
      // No later pass follows, so files that are still open or changing are failures.
      for (path, reason) in outcome.waiting.sorted(by: { $0.key < $1.key }) where outcome.failed[path] == nil
      {
        outcome.summary.failures.append(.init(path: path.string, reason: reason))
      }
    }
    finish(&outcome, since: start, requestsBefore)
    return outcome
  }

  /// Compares everything, and publishes the differences and the paths that were left. Those are published
  /// whatever the comparison finds, because it may miss a change that an event has reported.
  private func reconcileFinally(
    _ left: DirtySet.Batch, with pass: PublishPass, _ deletes: Deletes, _ heard: Heard?,
    noting outcome: inout PassOutcome
  ) async throws -> Reconciler.Findings {
    // The watch has ended, so no event reports files that are still being written.
    let polled: [RelativePath] = place.isWatching ? [.root] : []
    await polledMarkers.look(at: left.entries.keys.filter(settings.commitOrder.isMarker), in: root)
    var last = left
    var (found, drift) = try await reconcile(
      .root, with: pass, except: Set(left.entries.keys), polled: polled,
      hearing: place.isWatching ? .everything : .nothing(wallClock: wallClock), markers: &last,
      noting: &outcome,
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

  /// The paths that the drain could not publish, and those that changed since it took its batch. They are
  /// dirty, so they are no drift. Directories to be compared are left out, because everything is compared.
  private func takeLeft() -> DirtySet.Batch {
    var left = DirtySet.Batch(entries: schedule.dirtyEntries)
    var aliases = aliasesOfTree
    let now = schedule.clock.now
    aliases.resolvePointers(in: &left)
    _ = aliases.addFurtherNames(to: &left, compared: [.root], at: now) { _ in false }
    if settings.symlinks == .pointer {
      aliases.addPointers(to: &left, hasCompared: false, at: now) { _ in false }
    }
    for (path, var entry) in left.entries {
      if entry.isWrittenElsewhere, isSnapshotPublished(path) {
        // No event has reported a later version.
        left.entries[path] = nil
        continue
      }
      entry.isWrittenElsewhere = false
      // The watch would no longer report that the file was opened again.
      if entry.writer == .closed { entry.writer = .unknown }
      left.entries[path] = entry
    }
    return left
  }

  private func isSnapshotPublished(_ path: RelativePath) -> Bool {
    root.stamp(ofFileAt: path).map { ledger.holdsSnapshot(of: path, $0) } ?? false
  }

  /// Reports what is left when the end is cut short.
  private func giveUp(_ left: DirtySet.Batch, after drained: PassOutcome?, in outcome: inout PassOutcome) {
    for path in left.entries.keys.sorted() {
      // Only the delete of its object is left.
      if case .success(nil) = Result(catching: { try root.look(at: path) }) { continue }
      outcome.fail(path, because: drained?.failed[path] ?? FailureReason(CancellationError()))
    }
  }

  /// Deletes what the comparison found superfluous, unless the guard withholds it (DEL-6).
  private func removeExtras(_ found: Reconciler.Findings, in outcome: inout PassOutcome) async {
    let isEntryEmpty = state.withLock { $0.isGuardedByEmptyEntry }
    // The old object of a renamed file, and objects that an old marker on S3 may name, stay until the new
    // objects are on S3.
    let unpublished = outcome.reasonToWithholdDeletes ?? (lateArrivals.hasArrival ? .uploadsWait : nil)
    let general = found.survey.blanketReason(
      bound: settings.bound, wasEmptyAtEntry: isEntryEmpty, unpublished: unpublished)
    let blanket = place.isThatOfEntry ? general : .rootUnavailable
    let deletes = InferredDeletes(
      root: root, survey: found.survey, bound: settings.bound, blanket: blanket,
      hiddenPlaces: place.hiddenPlaces, foreign: group == nil ? found.foreign : Extras())
    outcome.take(await deletes.carryOut(found.extras, with: remover))
  }

  /// Reports old objects of renamed files that stay because another writer has overwritten them.
  private func noteForeignMoves(_ found: Reconciler.Findings, in outcome: inout PassOutcome) async throws {
    guard group == nil, !foreignObjects.isEmpty else { return }
    try await found.extras.entries.forEachBatch(of: Self.driftLimit) { entries in
      for entry in entries where foreignObjects.contains(entry.path, entry.object) {
        outcome.withhold(entry.path, .foreign)
      }
    }
  }
}
