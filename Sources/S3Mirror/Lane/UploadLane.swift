import FileWatch
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import Transfers

/// One upload from entry to exit: its watch, its schedule, and the one task that carries out its passes.
///
/// Events come from the watcher's thread and only mark paths; everything else happens in `run` and then in `finish`,
/// one pass at a time.
final class UploadLane: Sendable {
  struct Settings: Sendable {
    var name: String
    var mapping: KeyMapping
    var policy: UploadSchedule.Policy
    var delete: Bool
    var filter: PathFilter
    var symlinks: SymlinkPolicy
    var commitOrder: CommitOrder
    var compare: ComparePolicy
    var bound: DeleteBound
    var deleteCondition = Options.DeleteCondition.none
    var emptyDirectories = Options.EmptyDirectories.skip
    /// Files under way at one time.
    var width: Int
    /// Time from audit to audit, a comparison of everything that should find nothing; nil makes none.
    var auditInterval: Duration?
    /// How often what has no watch is compared where no interval says it.
    var pollInterval = LaneSchedule.standardPollInterval
    /// For tests: the watch limit of this upload.
    var maxWatches: Int?
  }

  enum Watching: Sendable {
    case on
    /// One comparison and no more.
    case off
  }

  /// How the lane ends.
  enum Ending: Sendable {
    /// The body returned: publish everything, then delete what is superfluous.
    case succeeded
    /// The body threw or the command failed: publish everything, delete nothing.
    case failed
    /// Leave S3 as it is.
    case skipped
  }

  struct State {
    /// Objects under the prefix: listed at entry, then counted, too low rather than too high.
    var objectCount = 0
    var report: MirrorReport.Upload
    /// What lay on S3 when the local root was empty or absent at entry: never inferred deleted in this run.
    var isGuardedByEmptyEntry = false
    /// Objects without a file may lie on S3 by right: from before, withheld, or not inferred deleted before the exit.
    var mayHoldExtras = false
  }

  let settings: Settings
  let activity = LaneActivity()
  private let resources: TransferResources
  let store: any ObjectStore
  let requests: RequestTally
  let uploader: Uploader
  let journal: Journal
  private let ledger = PublishedLedger()
  private let links = LinkedNames()
  private let polledMarkers = PolledMarkers()
  let schedule: LaneSchedule
  private let listingOrder = ListingOrder()
  let place: WatchedRoot
  let notices: ConditionNotices
  private let wallClock: @Sendable () -> Int64
  let state: Mutex<State>

  init(
    settings: Settings, root: TreeRoot, store: any ObjectStore, requests: RequestTally,
    resources: TransferResources,
    uploadSettings: UploadSettings, journal: Journal, watching: Watching,
    wallClock: @escaping @Sendable () -> Int64
  ) throws {
    self.settings = settings
    self.resources = resources
    self.journal = journal
    self.wallClock = wallClock
    self.store = store
    self.requests = requests
    uploader = Uploader(
      store: store, resources: resources, settings: uploadSettings, pending: PendingUploads(),
      wallClock: wallClock)
    state = Mutex(State(report: .init(name: settings.name)))
    notices = ConditionNotices(name: settings.name, journal: journal)
    let schedule = LaneSchedule(
      policy: settings.policy, auditInterval: settings.auditInterval, pollInterval: settings.pollInterval,
      commitOrder: settings.commitOrder)
    self.schedule = schedule
    let filter = settings.filter
    let markers = settings.emptyDirectories == .marker ? DirectoryMarkers(ledger: ledger) : nil
    switch watching {
    case .off:
      place = try WatchedRoot(root, makeWatcher: nil)
    case .on:
      var configuration = TreeWatcher.Configuration(isExcluded: { path, kind in filter.excludes(path, kind) })
      configuration.maxWatches = settings.maxWatches
      place = try WatchedRoot(
        root,
        makeWatcher: { [path = root.path, configuration] in
          try TreeWatcher(root: path, configuration: configuration) {
            schedule.note(markers?.completed($0) ?? $0)
          }
        },
        tell: { schedule.note([$0]) })
    }
  }

  var root: TreeRoot { place.root }

  // MARK: Entry

  /// Watches first, compares second, so that no change falls between; then copies what S3 lacks. Deletes nothing.
  ///
  /// - Throws: `S3Error` when the prefix cannot be listed; `WatchError`. Files that fail stay dirty.
  func enter() async throws {
    try await place.start()
    try await uploader.pending.load(from: store, prefix: settings.mapping.listingPrefix)
    await sweepStaleUploads()
    let start = ContinuousClock.now
    let requestsBefore = requests.counts
    var outcome = PassOutcome(summary: summary(of: .entry))
    var markers = DirtySet.Batch()
    let pass = publishPass(openFiles: .wait, deletes: .none, markers: .directory)
    let polled = Array(schedule.polled.keys)
    let found = try await reconcile(.root, with: pass, polled: polled, markers: &markers, noting: &outcome)
    let survey = found.survey
    state.withLock { state in
      state.objectCount = survey.remoteObjects
      state.isGuardedByEmptyEntry = survey.localFiles == 0 && survey.remoteObjects > 0
      state.mayHoldExtras = found.extras.count > 0
    }
    outcome = await pass.run(markers, deferred: [], after: outcome)
    note(survey, in: &outcome)
    finish(&outcome, since: start, requestsBefore)
    conclude(outcome)
    schedule.adopt(outcome.unpublished)
  }

  private func sweepStaleUploads() async {
    guard let age = uploader.settings.staleUploadAge else { return }
    let mapping = settings.mapping
    let sweep = await uploader.pending.sweep(
      store, olderThan: age, now: wallClock(), where: { mapping.path(forKey: $0) != nil })
    for (key, uploadID) in sweep.aborted {
      journal.abortedStale(uploadID, mirror: settings.name, key: key)
    }
    for (key, error) in sweep.failures {
      journal.notice("\(settings.name): the stale multipart upload of \(key) stays: \(error)")
    }
  }

  // MARK: Body

  /// Works off ticks and flushes until `finish` is called.
  func run() async {
    while true {
      let command = await schedule.next(
        fence: { [place] in await place.fence() }, poll: { [place] in await place.retryUnwatched() })
      switch command {
      case .end:
        return
      case .look(let flushes):
        await look(answering: flushes)
      case .audit:
        await audit()
      case .answer(let flushes):
        for flush in flushes { flush.answer(nil) }
      case .pass(let pass, let flushes):
        let outcome = await carryOut(pass, deletes: .watched)
        schedule.finish(outcome)
        conclude(outcome)
        for flush in flushes { flush.answer(outcome) }
      }
    }
  }

  /// Returns when everything closed before the call is published.
  ///
  /// - Throws: `MirrorError.incomplete` that lists what is not; `MirrorError.interrupted` when the lane ended without it.
  func flush() async throws {
    guard let outcome = await schedule.flush() else {
      guard !schedule.isClosed else {
        throw MirrorError(.interrupted, "\(settings.name): the mirror ended before it could be flushed")
      }
      return
    }
    guard outcome.summary.failures.isEmpty else {
      throw MirrorError(
        .incomplete, "\(settings.name): \(outcome.summary.failures.count) paths could not be published",
        failures: outcome.summary.failures)
    }
  }

  func carryOut(_ pass: UploadSchedule.Pass, deletes: Deletes) async -> PassOutcome {
    let start = ContinuousClock.now
    let kind: PassSummary.Kind = pass.trigger == .flush ? .flush : pass.trigger == .tick ? .tick : .exit
    let requestsBefore = requests.counts
    // Where the interval is zero, passes come as changes do, and what is polled has a rhythm of its own.
    if settings.policy.interval != .zero { await place.retryUnwatched() }
    let batch = pass.batch
    var outcome = PassOutcome(summary: summary(of: kind))
    guard !schedule.isRootLost else {
      // Found out just now. Everything waits until the root is back.
      outcome.unpublished = batch
      return outcome
    }
    var publication = publishPass(
      openFiles: pass.trigger == .flush ? .wait : .snapshot, deletes: deletes,
      markers: batch.rescans.isEmpty ? .marker : .directory)
    if kind == .tick { publication.snapshots = .afterGrace }
    notices.say(batch.rescans, in: root, filter: settings.filter)
    var last = batch
    var surveys: [Survey] = []
    var unlisted: [RelativePath: RescanReason] = [:]
    var reasons: [RelativePath: String] = [:]
    let polled = batch.rescans.filter(\.value.isStanding).map(\.key)
    let markers = batch.entries.keys.filter { isMarker($0, within: polled) }
    polledMarkers.look(at: markers, in: root)
    for (directory, reason) in batch.rescans {
      do {
        var markers = DirtySet.Batch()
        surveys.append(
          try await reconcile(
            directory, with: publication, except: Set(batch.entries.keys), polled: polled, markers: &markers,
            noting: &outcome
          ).survey)
        last.entries.merge(markers.entries) { watched, _ in watched }
      } catch {
        unlisted[directory] = reason
        reasons[directory] = cause(of: error)
      }
    }
    let added = links.complete(&last, in: root, ledger: ledger)
    schedule.noteClosed(added)
    outcome = await publication.run(
      last, deferred: pass.deferred.union(unlisted.keys), after: outcome)
    for survey in surveys { note(survey, in: &outcome) }
    if !batch.rescans.isEmpty || !outcome.withheld.isEmpty { state.withLock { $0.mayHoldExtras = true } }
    outcome.unpublished.rescans = unlisted
    for (directory, reason) in reasons {
      outcome.failed[directory] = reason
      outcome.summary.failures.append(.init(path: directory.description, reason: reason))
    }
    finish(&outcome, since: start, requestsBefore)
    return outcome
  }

  // MARK: Passes

  enum Deletes {
    case none
    case watched
    case inferred
  }

  func publishPass(openFiles: OpenFilePolicy, deletes: Deletes, markers: MarkerGate.Strictness)
    -> PublishPass
  {
    PublishPass(
      publisher: publisher(markers), commitOrder: settings.commitOrder,
      remover: deletes == .watched && settings.delete && place.isThatOfEntry ? remover : nil,
      filter: settings.filter,
      openFiles: openFiles, width: settings.width, objectCount: state.withLock { $0.objectCount })
  }

  /// Compares a part of the tree with S3 and publishes the data that differ.
  ///
  /// - Parameters:
  ///   - watched: what the caller publishes itself.
  ///   - polled: directories whose changes no event tells of. Where markers in them differ, their data are compared once more.
  func reconcile(
    _ directory: RelativePath, with pass: PublishPass, except watched: Set<RelativePath> = [],
    polled: [RelativePath], markers: inout DirtySet.Batch, noting outcome: inout PassOutcome
  ) async throws -> Reconciler.Findings {
    var data = pass
    data.remover = nil
    var found = DirtySet.Batch()
    var findings = try await reconciler.publish(
      directory, with: data, except: watched, markers: &found, noting: &outcome,
      settled: { activity.settle($0) })
    let unwatched = found.entries.keys.filter { isMarker($0, within: polled) }
    if !unwatched.isEmpty {
      polledMarkers.look(at: unwatched, in: root)
      var foundAgain = DirtySet.Batch()
      findings = try await reconciler.publish(
        directory, with: data, except: watched, markers: &foundAgain, noting: &outcome,
        settled: { activity.settle($0) })
    }
    markers.entries.merge(found.entries) { first, _ in first }
    return findings
  }

  private func isMarker(_ path: RelativePath, within directories: [RelativePath]) -> Bool {
    settings.commitOrder.isMarker(path) && directories.contains { path.isWithin($0) }
  }

  func finish(_ outcome: inout PassOutcome, since start: Instant, _ requestsBefore: [String: Int]) {
    polledMarkers.forgetAll()
    outcome.summary.requests = requests.counts.subtracting(requestsBefore)
    outcome.summary.seconds = (ContinuousClock.now - start).seconds
  }

  func note(_ survey: Survey, in outcome: inout PassOutcome) {
    outcome.skipped += survey.skipped
    outcome.summary.failures += survey.localFailures
  }

  func conclude(_ outcome: PassOutcome) {
    activity.note(outcome)
    state.withLock { state in
      state.objectCount = max(0, state.objectCount + outcome.created - outcome.summary.deleted)
      state.report.published += outcome.summary.published
      state.report.publishedBytes += outcome.summary.publishedBytes
      state.report.deleted += outcome.summary.deleted
      state.report.skipped = max(state.report.skipped, outcome.skipped)
    }
    journal.passed(outcome.summary)
  }

  func summary(of kind: PassSummary.Kind) -> PassSummary {
    PassSummary(name: settings.name, kind: kind, number: schedule.passCount)
  }

  // MARK: Parts

  private func publisher(_ strictness: MarkerGate.Strictness) -> FilePublisher {
    FilePublisher(
      name: settings.name, root: root, filter: settings.filter, mapping: settings.mapping, store: store,
      uploader: uploader, ledger: ledger, journal: journal, activity: activity,
      markerGate: MarkerGate(
        order: settings.commitOrder, strictness: strictness, schedule: schedule,
        fence: { [place] in await place.fence() }, polled: polledMarkers, root: root))
  }

  var remover: RemoteRemover {
    RemoteRemover(
      name: settings.name, root: root, mapping: settings.mapping, store: store, bound: settings.bound,
      journal: journal, ledger: ledger, condition: settings.deleteCondition,
      commitOrder: settings.commitOrder)
  }

  var reconciler: Reconciler {
    Reconciler(
      surveyor: Surveyor(
        root: root, mapping: settings.mapping, filter: settings.filter, symlinks: settings.symlinks,
        comparison: Comparison(policy: settings.compare), store: store, order: listingOrder,
        wallClock: wallClock, links: links,
        emptyDirectories: settings.emptyDirectories, ledger: ledger),
      content: ContentComparison(
        root: root, mapping: settings.mapping, store: store, readers: resources.readers,
        policy: settings.compare, ledger: ledger),
      commitOrder: settings.commitOrder, width: settings.width)
  }
}
