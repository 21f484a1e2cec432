import LocalTree
import MirrorModel
import Transfers

/// One pass over what changed: parts to rescan are compared, then everything that differs is published in
/// commit order.
extension UploadLane {
  /// What a pass may delete.
  enum Deletes {
    case none
    case watched
    case inferred
  }

  /// How long a pass waits for its publications.
  enum Patience {
    /// Until something else waits for the lane.
    case untilNeeded
    case untilDone
  }

  /// Carries out one pass and concludes it.
  func workOff(_ pass: UploadSchedule.Pass, deletes: Deletes, _ patience: Patience = .untilNeeded) async
    -> PassOutcome
  {
    var outcome = await carryOut(pass, deletes: deletes, patience)
    dropVanishedMarkers(of: &outcome)
    noteForRetention(outcome, isCompared: !pass.batch.rescans.isEmpty)
    await publishReceipts(noting: &outcome)
    await removeReceipts(after: outcome)
    await takeNews(of: &outcome)
    schedule.finish(outcome)
    conclude(outcome)
    await group?.note(outcome.heldByGroup, in: root)
    return outcome
  }

  /// Notes all events until now, before the pass ends.
  ///
  /// The pass may have seen a newer state than the watch has reported. An event that is noted only after the
  /// next pass has begun would count as the first event of a new file. The delete of such a file would send
  /// no request, because a new file was never published.
  private func takeNews(of outcome: inout PassOutcome) async {
    await place.fence()
    lookAgain(at: outcome.met, noting: &outcome)
    takeSuperseded(of: &outcome)
    takeWithdrawn(of: &outcome)
  }

  /// Makes markers dirty that were removed before their data, because their turn in the pass had come before.
  func takeWithdrawn(of outcome: inout PassOutcome) {
    for marker in withdrawal.missing(in: root)
    where outcome.unpublished.entries[marker] == nil && !schedule.isWaiting(marker) {
      outcome.unpublished.entries[marker] = DirtyEntry(.recheck, at: schedule.clock.now)
    }
  }

  /// Takes over the result of a publication that has outlived its pass.
  func land(_ path: RelativePath, _ entry: DirtyEntry, _ publication: FilePublisher.Outcome) async {
    // If the file is gone, a later pass deletes the object in its order.
    var plan = PassPlan(
      DirtySet.Batch(entries: [path: entry]), order: settings.commitOrder, removal: .later)
    while case .publish(let path) = plan.next() {
      _ = plan.note(publication.fact, of: path, at: schedule.clock.now)
    }
    var outcome = PassOutcome(summary: summary(of: .tick))
    outcome.note(publication, of: path)
    outcome.take(plan.result, events: .complete)
    await takeNews(of: &outcome)
    schedule.land(path, outcome)
    outcome.unpublished.entries[path] = nil
    if !outcome.unpublished.entries.isEmpty {
      schedule.adopt(DirtySet.Batch(entries: outcome.unpublished.entries))
    }
    await publishReceipts(noting: &outcome)
    conclude(outcome)
    flights.end(path)
  }

  /// Makes published paths dirty whose files are gone although no event names them. A file may have appeared
  /// and gone before its directory was watched, while the pass published it.
  private func lookAgain(at paths: [RelativePath], noting outcome: inout PassOutcome) {
    for path in paths where outcome.unpublished.entries[path] == nil {
      guard case .success(true) = Result(catching: { try root.isAbsent(forObjectAt: path) }),
        !schedule.isWaiting(path)
      else { continue }
      outcome.unpublished.entries[path] = DirtyEntry(at: schedule.clock.now)
    }
  }

  /// Makes paths dirty that were published in an earlier version if no event has reported the later one.
  func takeSuperseded(of outcome: inout PassOutcome) {
    for path in outcome.superseded
    where outcome.unpublished.entries[path] == nil && !schedule.isWaiting(path) {
      outcome.unpublished.entries[path] = DirtyEntry(at: schedule.clock.now)
    }
  }

  /// Carries out a pass, from the batch of the schedule to the paths that stay dirty.
  private func carryOut(_ pass: UploadSchedule.Pass, deletes: Deletes, _ patience: Patience) async
    -> PassOutcome
  {
    let start = Instant.now
    let kind: PassSummary.Kind = pass.trigger == .flush ? .flush : pass.trigger == .tick ? .tick : .exit
    let requestsBefore = requests.counts
    // With interval zero a pass follows each change, and polling has a rhythm of its own.
    if settings.policy.interval != .zero { await poll() }
    var batch = pass.batch
    var outcome = PassOutcome(summary: summary(of: kind))
    // If a link on the way to the root leads elsewhere now, the watch reports nothing.
    if !schedule.isRootLost, !root.isUnchanged { schedule.note([.rootLost]) }
    guard !schedule.isRootLost else {
      // The loss was found only now. Everything waits until the root is back.
      outcome.unpublished = batch
      return outcome
    }
    var aliases = aliasesOfTree
    switch settings.symlinks {
    case .pointer, .link: aliases.resolvePointers(in: &batch)
    case .skip, .follow: aliases.resolveLinks(in: &batch)
    }
    var publication = publishPass(
      openFiles: pass.trigger == .flush ? .wait : .snapshot, deletes: deletes,
      markers: batch.rescans.isEmpty ? .marker : .directory)
    if kind == .tick { publication.snapshots = .afterGrace }
    publication.budget = budget()
    if patience == .untilNeeded { publication.detachment = detachment(.whenNeeded) }
    notices.say(
      batch.rescans, in: root, filter: settings.filter, isComplete: settings.policy.interval != .zero)
    var last = batch
    var surveys: [Survey] = []
    var unlisted: [RelativePath: RescanReason] = [:]
    var reasons: [RelativePath: any Error] = [:]
    let polled = batch.rescans.filter(\.value.isStanding).map(\.key)
    let markers = Set(batch.entries.keys).union(polled).filter { isMarker($0, within: polled) }
    await polledMarkers.look(at: markers, in: root)
    var linksToCompare = aliases.lookBehindLinks(of: &last, at: schedule.clock.now)
    // No path below a file has a key.
    if case .file = settings.mapping { linksToCompare = [] }
    for (directory, reason) in batch.rescans {
      if reason == .followedLink, !linksToCompare.contains(directory) { continue }
      do {
        var markers = DirtySet.Batch()
        let alterations = place.alterations(within: directory)
        let (found, _) = try await reconcile(
          directory, because: reason, with: publication,
          except: Set(batch.entries.keys).union(schedule.pathsInFlight),
          polled: polled, markers: &markers, noting: &outcome)
        surveys.append(found.survey)
        try await accept(alterations, after: found)
        last.entries.merge(markers.entries) { watched, _ in watched }
      } catch {
        unlisted[directory] = reason
        reasons[directory] = error
      }
    }
    // Read once: a publication that lands from here on leaves its path to a later pass.
    let inFlight = schedule.pathsInFlight
    let closed = aliases.addFurtherNames(
      to: &last, compared: Set(batch.rescans.keys), at: schedule.clock.now, isWaiting: schedule.isWaiting,
      isInFlight: inFlight.contains)
    if settings.symlinks == .pointer {
      aliases.addPointers(
        to: &last, hasCompared: !batch.rescans.isEmpty, at: schedule.clock.now, isWaiting: schedule.isWaiting)
    }
    schedule.noteClosed(closed)
    schedule.noteTaken(last.entries.filter { batch.entries[$0.key] == nil })
    // No path is published twice at one time. Changes of paths in flight are left for a later pass.
    for path in inFlight {
      outcome.unpublished.entries[path] = last.entries.removeValue(forKey: path)
    }
    var surroundings = pass.surroundings
    surroundings.deferred.formUnion(unlisted.keys)
    aliases.addFurtherNames(to: &surroundings, of: last)
    outcome = await publication.run(last, within: surroundings, after: outcome)
    for survey in surveys { note(survey, in: &outcome) }
    if !batch.rescans.isEmpty || !outcome.withheld.isEmpty { state.withLock { $0.mayHoldExtras = true } }
    outcome.unpublished.rescans = unlisted
    for (directory, error) in reasons {
      outcome.fail(directory, because: FailureReason(error), FailureScope(error))
    }
    tellOfFreshLinks()
    finish(&outcome, since: start, requestsBefore)
    return outcome
  }

  /// How much can be published in the rest of `exitTimeout`, or until an announced deadline; nil if the time is
  /// not limited.
  private func budget() -> DeadlineOrder.Budget? {
    let now = schedule.clock.now
    let end = state.withLock { state in
      // A deadline that has passed says nothing of the passes after it: the machine is still there.
      let announced = state.announcedEnd.flatMap { $0 > now ? $0 : nil }
      return [state.end, announced].compactMap(\.self).min()
    }
    return end.map { end in
      DeadlineOrder.Budget(
        seconds: max(0, (end - now).seconds), bytesPerSecond: activity.snapshot.sentBytesPerSecond)
    }
  }

  /// Notes that this machine goes away: passes that begin until then publish one checkpoint after the other.
  func noteDeadline(in time: Duration) {
    let end = schedule.clock.now + time
    state.withLock { $0.announcedEnd = end }
  }

  /// Lets a pass end before its last publications.
  private func detachment(_ rule: Detachment.Rule) -> Detachment {
    Detachment(flights: flights, schedule: schedule, rule: rule) { [weak self] path, entry, publication in
      await self?.land(path, entry, publication)
    }
  }

  /// Which objects without a file a deleting pass may delete.
  private var removal: PassPlan.Removal {
    if settings.delete { return .everything }
    if settings.renames == .move { return .moves }
    return settings.commitOrder.marks.isEmpty ? .never : .marks
  }

  func publishPass(openFiles: FilePublisher.OpenFiles, deletes: Deletes, markers: MarkerStrictness)
    -> PublishPass
  {
    var pass = PublishPass(
      publisher: publisher(markers), commitOrder: settings.commitOrder,
      remover: deletes == .watched && removal != .never && place.isThatOfEntry ? remover : nil,
      removal: removal, filter: settings.filter,
      openFiles: openFiles,
      width: { [uploader, most = settings.width, isLocal = root.isLocal] in
        // Where files are slow to read or to prove, more of them are in work than requests need.
        if !isLocal || uploader.hasPaused { return most }
        return min(most, Options.filesUnderWay(forRequests: Int(uploader.resources.slots.limit)))
      },
      clock: schedule.clock,
      objectCount: state.withLock { $0.objectCount },
      originsElsewhere: { [place, schedule] in
        // A file that is gone may have been renamed since the batch was taken.
        await place.fence()
        return schedule.origins
      })
    pass.group = group?.hold ?? .none
    return pass
  }

  /// Compares a part of the tree with S3 and publishes the data that differ.
  ///
  /// - Parameters:
  ///   - reason: why the part is compared; nil for a comparison of everything.
  ///   - watched: the paths that the caller publishes itself.
  ///   - polled: directories whose changes no event reports. If markers in them differ, their data are
  ///     compared again.
  ///   - hearing: what the watch has told of the files before.
  ///   - isDrift: whether a file that the first comparison finds to differ is drift; nil if no file can be.
  /// - Returns: the findings of the last comparison, and the drift, at most `driftLimit` paths.
  func reconcile(
    _ directory: RelativePath, because reason: RescanReason? = nil, with pass: PublishPass,
    except watched: Set<RelativePath> = [],
    polled: [RelativePath], hearing: FoundFiles.Hearing = .everything,
    markers: inout DirtySet.Batch, noting outcome: inout PassOutcome,
    isDrift: (@Sendable (LocalEntry) -> Bool)? = nil
  ) async throws -> (Reconciler.Findings, drift: [RelativePath]) {
    var data = pass
    data.remover = nil
    data.returning = .later
    if pass.detachment != nil { data.detachment = detachment(.whenLong) }
    var files = FoundFiles(
      pass: data, activity: activity, reason: reason, hearing: hearing,
      drift: isDrift.map { .init(limit: Self.driftLimit, isDrift: $0) },
      outcome: outcome)
    // The outcome also holds what was published before a listing failed.
    defer { outcome = files.outcome }
    let reconciler = reconciler
    var findings = try await reconciler.compare(directory, except: watched, telling: &files)
    let drift = files.drift?.paths ?? []
    var found = files.markers
    let unwatched = found.entries.keys.filter { isMarker($0, within: polled) }
    if !unwatched.isEmpty {
      await polledMarkers.look(at: unwatched, in: root)
      files = FoundFiles(
        pass: data, activity: activity, reason: reason, hearing: hearing, outcome: files.outcome)
      findings = try await reconciler.compare(directory, except: watched, telling: &files)
      // A marker that appeared meanwhile waits for the next pass, and so does a marker above it that may name
      // it.
      for (path, entry) in files.markers.entries where found.entries[path] == nil {
        found.entries[path] = entry
        if isMarker(path, within: polled) { polledMarkers.hold(path) }
      }
    }
    markers.entries.merge(found.entries) { first, _ in first }
    let now = schedule.clock.now
    for path in findings.survey.undecodable {
      files.outcome.refuse(path, because: KeyMapping.undecodableName)
      files.outcome.unpublished.entries[path] = DirtyEntry(.undecodable, at: now)
    }
    return (findings, drift)
  }

  private func isMarker(_ path: RelativePath, within directories: [RelativePath]) -> Bool {
    settings.commitOrder.isMarker(path) && directories.contains { path.isWithin($0) }
  }

  func finish(_ outcome: inout PassOutcome, since start: Instant, _ requestsBefore: [String: Int]) {
    polledMarkers.forget(except: schedule.pathsInFlight)
    outcome.summary.skipped = outcome.skipped
    notices.saySkipped(outcome.skippedNames, symlinks: settings.symlinks)
    outcome.summary.requests = requests.counts.subtracting(requestsBefore)
    outcome.summary.seconds = (Instant.now - start).seconds
  }

  func note(_ survey: Survey, in outcome: inout PassOutcome) {
    outcome.skipped += survey.skipped
    outcome.skippedNames += survey.skippedNames
    outcome.summary.failures += survey.unreadableFailures
  }

  func conclude(_ outcome: PassOutcome) {
    ledger.flush()
    notices.sayForeign(outcome.withheld.filter { $0.value == .foreign }.keys.sorted())
    let before = activity.snapshot
    // A name that cannot be a key is reported once, when it is found; later flushes fail because of it.
    for (path, reason) in outcome.refused where before.failures[path] == nil {
      journal.failed(
        .upload, mirror: settings.name, path: path, key: settings.mapping.key(for: path),
        error: RefusedName(description: reason))
    }
    activity.note(outcome)
    state.withLock { state in
      state.objectCount = max(0, state.objectCount + outcome.created - outcome.summary.deleted)
    }
    // Deletes that are still withheld are checked by each tick, and reported only if their number changes.
    // The same holds for markers that wait for other hosts.
    let isIdle = outcome.summary.isIdle || outcome.onlyWaits(for: before.heldByGroup)
    if isIdle, outcome.summary.withheldDeletes == before.withheldDeletes { return }
    journal.passed(outcome.summary)
  }

  func summary(of kind: PassSummary.Kind) -> PassSummary {
    PassSummary(name: settings.name, kind: kind, number: schedule.passCount)
  }
}
