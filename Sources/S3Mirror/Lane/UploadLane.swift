import FileWatch
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import Transfers

/// One upload from entry to exit: its watch, its schedule, and the one task that carries out its passes.
///
/// Events come from the watcher's thread and only mark paths. Everything else happens in `run` and then in
/// `finish`, one pass at a time.
final class UploadLane: Sendable {
  struct Settings: Sendable {
    var name: String
    var mapping: KeyMapping
    var policy: UploadSchedule.Policy
    var delete: Bool
    var filter: PathFilter
    var symlinks: SymlinkPolicy
    var comparison: Comparison
    var bound: DeleteBound
    var deleteCondition = Options.DeleteCondition.none
    /// What happens to the upload if the body throws.
    var onError = Options.OnError.upload
    var renames = Options.Renames.move
    var emptyDirectories = Options.EmptyDirectories.skip
    /// How long the end may take; nil if there is no limit.
    var exitTimeout: Duration?
    /// Removes old checkpoints from S3; nil if none are removed.
    var retention: Retention?
    /// The names that decide which checkpoints are complete, for receipts; nil if no receipts are published.
    var receipts: UnitNames?
    /// Files under way at one time.
    var width: Int
    /// Files that are compared with objects at one time.
    var questionWidth: Int
    /// The time from one audit to the next; nil if there are no audits. An audit compares everything and
    /// should find no difference.
    var auditInterval: Duration?
    /// How often parts without a watch are compared if no interval is set.
    var pollInterval = LaneSchedule.standardPollInterval
    /// Where evidence is kept; nil if it is not kept.
    var evidence: EvidencePlace?
    var clock: any LaneClock = SystemClock()
    /// The objects under the prefix when a download began before this upload; nil if there was no download.
    var entryObjects: EntryObjects?
    var makeWatch: MakeTreeWatch = { root, isExcluded, report in
      try TreeWatcher(root: root.path, configuration: .init(isExcluded: isExcluded), sink: report)
    }
    /// Nil if the mirror belongs to no group of hosts.
    var group: GroupDriver?
    /// Called when another attempt has taken the group's member over.
    var whenFenced: @Sendable () -> Void = {}

    var commitOrder: CommitOrder { policy.commitOrder }
  }

  enum Watching: Sendable {
    case on
    /// No watch: the lane compares once and ends.
    case off
  }

  /// How the lane ends.
  enum Ending: Sendable {
    /// The body returned: publish everything, then delete superfluous objects.
    case succeeded
    /// The body threw or the command failed: publish everything, delete nothing.
    case failed
    /// Leave S3 as it is.
    case skipped
  }

  struct State {
    /// The number of objects under the prefix: listed at entry, then counted so that it is never too high.
    var objectCount = 0
    /// The local root was empty or absent at entry, while objects were on S3. No object is inferred deleted
    /// in this run.
    var isGuardedByEmptyEntry = false
    /// Objects without a file may be on S3 legitimately: from before, withheld, or not inferred deleted
    /// before the exit.
    var mayHoldExtras = false
    /// When the end is cut short; nil before the end, and if there is no limit.
    var end: Instant?
    /// When this machine goes away, as a caller of a flush has announced.
    var announcedEnd: Instant?
    /// Local checkpoints that are not published, because retention would remove them again.
    var retired = RetiredUnits()
    /// Something was published since the last retention that may have made a checkpoint complete.
    var isRetentionDue = false
    var hasUploadFailed = false
    var nextRetention: Instant?
    /// Why the last receipt of this member's part could not be published; nil if it was published.
    var receiptFault: String?
  }

  let settings: Settings
  let activity = LaneActivity()
  private let resources: TransferResources
  let store: any ObjectStore
  let requests: RequestTally
  let uploader: Uploader
  let journal: Journal
  let ledger: PublishedLedger
  private let deleteSupport = DeleteSupport()
  let aliases: Aliases
  /// Nil without `delete` and retention: a run then deletes only objects that it has published itself.
  private let entryObjects: EntryObjects?
  /// The objects at entry, also for finding out which data are overwritten.
  private let objectsAtEntry: EntryObjects?
  let mark: WriterMark
  let foreignObjects = ForeignObjects()
  let polledMarkers: PolledMarkers
  let withdrawal: MarkerWithdrawal
  /// Nil if no receipts are published.
  let receipts: (any CheckpointReceipts)?
  let schedule: LaneSchedule
  let flights = Flights()
  private let listingOrder = ListingOrder()
  let place: WatchedRoot
  let temporaries = TemporaryNames()
  let lateArrivals = LateArrivals()
  let notices: ConditionNotices
  let wallClock: @Sendable () -> Int64
  let state = Mutex(State())
  /// Nil if the mirror belongs to no group.
  let group: LaneGroup?

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
    let isRemoving = settings.delete || settings.retention != nil
    if case .off = watching {
      objectsAtEntry = isRemoving ? settings.entryObjects ?? EntryObjects() : nil
    } else {
      objectsAtEntry = settings.entryObjects ?? EntryObjects()
    }
    // What lay there when this member began may be another member's.
    entryObjects = isRemoving && settings.group == nil ? objectsAtEntry : nil
    group = settings.group.map { LaneGroup($0, wallClock: wallClock) }
    mark = settings.group.map { WriterMark(memberWith: $0.ownSlot) } ?? WriterMark(root: root.identity)
    var uploadSettings = uploadSettings
    uploadSettings.metadata[WriterMark.metadataName] = mark.text
    uploadSettings.whenDeltasEnd = { [name = settings.name] reason in
      journal.notice(
        "\(name): changed files are sent whole from now on: \(reason)")
    }
    ledger = PublishedLedger(
      evidence: settings.evidence.map {
        EvidenceStore($0, root: root.identity, for: .writing, wallClock: wallClock)
      },
      isCommitMarker: settings.commitOrder.isMarker, keepsCompared: settings.receipts != nil)
    withdrawal = MarkerWithdrawal(
      name: settings.name, mapping: settings.mapping, store: store, ledger: ledger,
      objectsAtEntry: objectsAtEntry, sharing: settings.group == nil ? .none : .group, journal: journal)
    aliases = Aliases(symlinks: settings.symlinks, wallClock: wallClock)
    polledMarkers = PolledMarkers(wallClock: wallClock)
    self.store = store
    self.requests = requests
    uploader = Uploader(
      store: store, resources: resources, settings: uploadSettings,
      pending: PendingUploads(onFirstFailure: { [name = settings.name] error in
        journal.notice(
          "\(name): the parts of an unfinished multipart upload cannot be listed, so it is not resumed and its file is sent anew "
            + "(s3:ListMultipartUploadParts): \(error)")
      }),
      wallClock: wallClock)
    receipts = settings.receipts.map { [uploader, ledger, mark] names in
      if let part = settings.group?.part {
        return MemberReceipts(
          name: settings.name, part: part, mark: mark, names: names, mapping: settings.mapping,
          filter: settings.filter, uploader: uploader, ledger: ledger, journal: journal)
      }
      return UnitReceipts(
        name: settings.name, names: names, mapping: settings.mapping, filter: settings.filter,
        uploader: uploader,
        ledger: ledger, journal: journal)
    }
    notices = ConditionNotices(name: settings.name, journal: journal, start: wallClock())
    let schedule = LaneSchedule(
      policy: settings.policy, auditInterval: settings.auditInterval, pollInterval: settings.pollInterval,
      clock: settings.clock)
    self.schedule = schedule
    let filter = settings.filter
    let markers = settings.emptyDirectories == .marker ? DirectoryMarkers(ledger: ledger) : nil
    switch watching {
    case .off:
      place = try WatchedRoot(root, makeWatch: nil, aliases: aliases)
    case .on:
      place = try WatchedRoot(
        root,
        makeWatch: { [aliases, ledger, temporaries, lateArrivals, makeWatch = settings.makeWatch] root in
          try makeWatch(root) { path, kind in
            guard filter.excludes(path, kind) else { return false }
            if filter.isTemporary(path, kind) { temporaries.note(path) }
            return true
          } _: { events in
            if lateArrivals.take(events) { return }
            let events = aliases.told(events, in: root, ledger)
            schedule.note(markers?.completed(events) ?? events)
          }
        }, aliases: aliases,
        tell: { schedule.note([$0]) })
    }
  }

  var root: TreeRoot { place.root }

  // MARK: Entry

  /// Starts the watch first and compares second, so that no change is missed. Then publishes what S3 lacks.
  /// Deletes nothing.
  ///
  /// - Throws: `S3Error` when the prefix cannot be listed; `WatchError`. Files that fail stay dirty.
  ///
  /// In a group, the member claims its slot first. While a change of an earlier attempt may still arrive, only the
  /// watch begins; the comparison follows in `run`.
  func enter() async throws {
    try await joinGroup()
    try await place.start()
    if group?.defersEntry() == true { return }
    try await compareAtEntry()
  }

  /// Compares everything, and publishes what S3 lacks.
  func compareAtEntry() async throws {
    try await takeStock()
    let start = Instant.now
    let requestsBefore = requests.counts
    var outcome = PassOutcome(summary: summary(of: .entry))
    var markers = DirtySet.Batch()
    let pass = publishPass(openFiles: .wait, deletes: .none, markers: .directory)
    let polled = Array(schedule.polled.keys)
    let (found, _) = try await reconcile(
      .root, with: pass, polled: polled, hearing: .nothing(wallClock: wallClock), markers: &markers,
      noting: &outcome)
    let survey = found.survey
    state.withLock { state in
      state.objectCount = survey.remoteObjects
      // In a group the objects are other members', and a delete takes none of them.
      state.isGuardedByEmptyEntry = group == nil && survey.localFiles == 0 && survey.remoteObjects > 0
      state.mayHoldExtras = group != nil || found.extras.count > 0
    }
    receipts?.noteFound()
    outcome = await pass.run(markers, within: .init(), after: outcome)
    await publishReceipts(noting: &outcome)
    note(survey, in: &outcome)
    dropVanishedMarkers(of: &outcome)
    finish(&outcome, since: start, requestsBefore)
    conclude(outcome)
    await group?.note(outcome.heldByGroup, in: root)
    // The same steps as after every pass.
    await place.fence()
    takeSuperseded(of: &outcome)
    takeWithdrawn(of: &outcome)
    schedule.adopt(outcome.unpublished)
    tellOfFreshLinks()
  }

  // MARK: Body

  /// Carries out ticks and flushes until `requestEnd` is called or the task is cancelled.
  func run() async {
    await enterLate()
    while true {
      activity.rest()
      let command = await schedule.next(
        fence: { [place] in
          await place.noteMounts()
          await place.fence()
        }, poll: { await poll() },
        probe: { [place] paths in paths.filter(place.root.isWithoutWriter) })
      activity.takeUp()
      switch command {
      case .end:
        return
      case .look(let flushes):
        await look(answering: flushes)
      case .audit:
        await audit()
      case .answer(let flushes):
        schedule.answer(flushes, with: nil)
      case .pass(let pass, let flushes):
        let outcome = await workOff(pass, deletes: .watched)
        // If the root was lost meanwhile, the flushes were not fulfilled.
        if !flushes.isEmpty, schedule.isRootLost {
          await look(answering: flushes)
          continue
        }
        schedule.answer(flushes, with: outcome)
        await retainIfDue()
      }
    }
  }

  /// Returns when everything closed before the call is published.
  ///
  /// - Throws: `MirrorError.incomplete` that lists the unpublished paths; `MirrorError.interrupted` if the
  ///   lane ended before the flush.
  func flush() async throws {
    guard let outcome = await schedule.flush() else {
      guard !schedule.isClosed else {
        throw group?.driver.fenceError
          ?? MirrorError(.interrupted, "\(settings.name): the mirror ended before it could be flushed")
      }
      return try await waitForGroup()
    }
    guard outcome.summary.failures.isEmpty else {
      throw MirrorError(
        .incomplete, "\(settings.name): \(outcome.summary.failures.count) paths could not be published",
        failures: outcome.summary.failures)
    }
    try await waitForGroup()
  }

  // MARK: Parts

  func publisher(_ strictness: MarkerStrictness) -> FilePublisher {
    FilePublisher(
      name: settings.name, root: root, filter: settings.filter, mapping: settings.mapping, store: store,
      uploader: uploader, ledger: ledger, journal: journal, activity: activity,
      appendNames: settings.policy.appendNames, content: contentComparison,
      markerGate: MarkerGate(
        order: settings.commitOrder, strictness: strictness, schedule: schedule,
        fence: { [place] in await place.fence() }, polled: polledMarkers, aliases: aliases, root: root,
        group: group),
      withdrawal: withdrawal,
      receipts: receipts,
      linkMet: { [notices, settings] in notices.saySkipped(link: $0, symlinks: settings.symlinks) })
  }

  /// The rules of aliases, for the root as it is now.
  var aliasesOfTree: AliasesOfTree { AliasesOfTree(aliases: aliases, root: root, ledger: ledger) }

  var remover: RemoteRemover {
    RemoteRemover(
      name: settings.name, root: root, mapping: settings.mapping, store: store, bound: settings.bound,
      journal: journal, ledger: ledger, deletes: deleteSupport, condition: settings.deleteCondition,
      commitOrder: settings.commitOrder, hiddenPlaces: place.hiddenPlaces, writers: writers,
      whenGone: { [receipts] in receipts?.note(deleted: $0) })
  }

  var writers: WriterCheck {
    WriterCheck(
      mapping: settings.mapping, store: store, entry: entryObjects, ledger: ledger, mark: mark,
      foreign: foreignObjects, sharing: group == nil ? .none : .group)
  }

  var reconciler: Reconciler {
    Reconciler(
      surveyor: Surveyor(
        root: root, mapping: settings.mapping, filter: settings.filter, symlinks: settings.symlinks,
        comparison: settings.comparison, store: store, order: listingOrder,
        wallClock: wallClock, aliases: aliases,
        emptyDirectories: settings.emptyDirectories, ledger: ledger, evidence: ledger.evidence,
        entryObjects: objectsAtEntry, retired: state.withLock { $0.retired }),
      content: contentComparison, width: settings.questionWidth)
  }

  private var contentComparison: ContentComparison {
    ContentComparison(
      root: root, mapping: settings.mapping, store: store, readers: resources.readers,
      policy: settings.comparison.policy, ledger: ledger)
  }
}
