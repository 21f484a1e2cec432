import LocalTree
import MirrorModel
import S3Client
import Transfers

/// What one pass came to.
struct PassOutcome: Sendable {
  var summary: PassSummary
  /// Published, or gone for good: whatever was held against them is over.
  var settled: [RelativePath] = []
  /// Files that were there: published, or kept from being deleted.
  var met: [RelativePath] = []
  var failed: [RelativePath: String] = [:]
  /// Those of the failed paths whose requests the service did not answer.
  var unreachable: Set<RelativePath> = []
  /// Not published though nothing failed, and why.
  var waiting: [RelativePath: String] = [:]
  /// What can never be published: no key, or beyond S3's limits.
  var refused: [RelativePath: String] = [:]
  var withheld: [RelativePath: WithheldReason] = [:]
  /// Published in a version that another one has replaced.
  var superseded: Set<RelativePath> = []
  /// Those of them that went in the version with which the pass began.
  var held: Set<RelativePath> = []
  /// Comes back dirty: what failed, what was open or changing, and deletes that wait.
  var unpublished = DirtySet.Batch()
  var skipped = 0
  /// The first of them.
  var skippedNames: [SkippedName] = []
  /// Objects under keys that had none, as far as that is sure: what the delete bound may count on.
  var created = 0

  /// What the pass learned of the service.
  var service: ServiceState {
    if summary.published > 0 || summary.deleted > 0 { return .answering }
    return unreachable.isEmpty ? .unknown : .unreachable
  }

  /// Why deletes that are only inferred must wait; nil when everything is published.
  var reasonToWithholdDeletes: WithheldReason? {
    if !failed.isEmpty { return .uploadsFailed }
    return waiting.isEmpty ? nil : .uploadsWait
  }

  /// Notes that a path is done with, whatever earlier batches of the pass came to.
  mutating func settle(_ path: RelativePath) {
    settled.append(path)
    unpublished.entries[path] = nil
    superseded.remove(path)
    held.remove(path)
    if waiting.removeValue(forKey: path) != nil { summary.waiting -= 1 }
    unreachable.remove(path)
    if failed.removeValue(forKey: path) != nil { summary.failures.removeAll { $0.path == path.string } }
  }

  mutating func fail(_ path: RelativePath, because reason: String, _ scope: FailureScope = .path) {
    if scope == .service { unreachable.insert(path) }
    if failed.updateValue(reason, forKey: path) == nil {
      summary.failures.append(.init(path: path.string, reason: reason))
    }
  }

  /// Notes what can never be published under its name. It stays dirty, so that markers and flushes keep being told of it
  /// until it has gone or has another name.
  mutating func refuse(_ path: RelativePath, because reason: String, _ entry: DirtyEntry?) {
    unpublished.entries[path] = entry
    if refused.updateValue(reason, forKey: path) == nil {
      summary.failures.append(.init(path: path.string, reason: reason))
    }
  }

  mutating func wait(_ path: RelativePath, because reason: String) {
    if waiting.updateValue(reason, forKey: path) == nil { summary.waiting += 1 }
  }
}

/// Publishes a batch in commit order: data, then markers, then deletes.
struct PublishPass: Sendable {
  let publisher: FilePublisher
  let commitOrder: CommitOrder
  /// Nil where nothing may be deleted.
  var remover: RemoteRemover?
  var removal = Removal.everything
  let filter: PathFilter
  let openFiles: FilePublisher.OpenFiles
  /// Files under way at one time: more than slots, so that reading and sending overlap.
  let width: Int
  /// How many objects lie under the prefix, as far as is known.
  let objectCount: Int
  /// The names that files have left which wait outside of this pass; asked for before anything is deleted.
  let originsElsewhere: @Sendable () async -> Set<RelativePath>
  var snapshots = Snapshots.ofAll

  /// Which objects without a file go.
  enum Removal: Sendable {
    case everything
    /// Those that this run published under a name that a rename has left: their content is there under the new name.
    case moves
  }

  /// Which files of the publisher's `appendNames` may go as snapshots while a program has them open for writing.
  enum Snapshots: Sendable {
    case ofAll
    /// Those that waited for their close as long as `openFileGrace`; the others begin to wait.
    case afterGrace
  }

  /// - Parameter earlier: what the batches before this one of the same pass came to: their failures hold markers and deletes back.
  func run(
    _ batch: DirtySet.Batch, deferred: Set<RelativePath>, stale: Set<RelativePath> = [],
    after earlier: PassOutcome
  ) async -> PassOutcome {
    var outcome = earlier
    var absent: [RelativePath] = []
    var unpublished = deferred
    for (path, entry) in outcome.unpublished.entries where entry.holdsMarkers { unpublished.insert(path) }
    if hasNoEvents { unpublished.formUnion(outcome.superseded) }
    // What has vanished since the batch was taken may be what a marker named then.
    var vanished: [RelativePath] = []
    // A snapshot takes two readings, `settle` apart. No marker waits for a file in its first writing, so none waits for that.
    let (late, prompt) = Array(batch.entries.keys).partitioned { isLate($0, batch.entries[$0]) }
    var groups = commitOrder.groups(of: prompt)
    if !late.isEmpty { groups.append(late.sorted()) }
    // Without data before it a marker has its turn at once.
    let versions =
      groups.count > 1 ? await publisher.hold(batch.entries.filter { commitOrder.isMarker($0.key) }) : [:]
    for group in groups {
      var ready: [RelativePath] = []
      var held: [RelativePath] = []
      for path in group {
        if commitOrder.isMarker(path), let obstacle = commitOrder.obstacle(to: path, among: unpublished) {
          outcome.unpublished.entries[path] = batch.entries[path]
          outcome.wait(path, because: Self.reason(toWaitFor: obstacle))
          held.append(path)
        } else {
          ready.append(path)
        }
      }
      unpublished.formUnion(held)
      let missing = vanished
      let results = await concurrentEach(ready, width: width, on: publisher.executors) { path in
        let entry = batch.entries[path]
        let outcome = await publisher.publish(path, entry: entry, openFiles: policy(for: entry))
        guard case .waiting = outcome, let version = versions[path],
          !missing.contains(where: { $0.isWithin(path.parent) })
        else { return (path, outcome) }
        return (path, await publisher.publish(version))
      }
      for (path, result) in results {
        if result.isAbsence, batch.entries[path]?.isGone != true { vanished.append(path) }
        note(result, of: path, entry: batch.entries[path], in: &outcome, absent: &absent)
        if outcome.unpublished.entries[path]?.holdsMarkers == true { unpublished.insert(path) }
        // Before a later marker goes, the gate asks for events of later data. Here no event would tell of them.
        if hasNoEvents, outcome.superseded.contains(path) { unpublished.insert(path) }
      }
    }
    await removeAbsent(absent, batch: batch, deferred: deferred.union(stale), in: &outcome)
    return outcome
  }

  private var hasNoEvents: Bool { publisher.markerGate.strictness == .stamp }

  private static func reason(toWaitFor obstacle: RelativePath) -> String {
    obstacle.isRoot
      ? "it waits until its data can be compared" : "it waits for \(obstacle), which is not published"
  }

  private func isLate(_ path: RelativePath, _ entry: DirtyEntry?) -> Bool {
    guard let entry, case .open = entry.writing else { return false }
    return !entry.holdsMarkers && !commitOrder.isMarker(path)
  }

  private func policy(for entry: DirtyEntry?) -> FilePublisher.OpenFiles {
    guard openFiles == .snapshot, snapshots == .afterGrace else { return openFiles }
    // A batch holds open entries only when their grace is over.
    if case .open = entry?.writing { return .snapshot }
    return .wait
  }

  private func note(
    _ result: FilePublisher.Outcome, of path: RelativePath, entry: DirtyEntry?, in outcome: inout PassOutcome,
    absent: inout [RelativePath]
  ) {
    switch result {
    case .published(let bytes, let way):
      outcome.settle(path)
      outcome.met.append(path)
      if entry?.isNew == true { outcome.created += 1 }
      if way == .snapshot, var entry, entry.isWrittenElsewhere {
        // Nobody may tell of the close, so it is looked for.
        entry.noteSnapshot(at: .now)
        outcome.unpublished.entries[path] = entry
      }
      if way == .superseded || way == .held { outcome.superseded.insert(path) }
      if way == .held { outcome.held.insert(path) }
      if way == .superseded, hasNoEvents {
        outcome.wait(path, because: "it was published, and replaced by a later version meanwhile")
      }
      if way == .marker { break }
      outcome.summary.published += 1
      outcome.summary.publishedBytes += bytes
      if way == .copy { outcome.summary.copied += 1 }
    case .absent:
      if entry?.isNew == true { outcome.settle(path) } else { absent.append(path) }
    case .isDirectory:
      // The name's object goes after the new directory's files have been published.
      absent.append(path)
    case .skipped(let kind):
      outcome.skipped += 1
      if outcome.skippedNames.count < ConditionNotices.namedSkips {
        outcome.skippedNames.append(SkippedName(path: path, kind: kind))
      }
      outcome.settle(path)
    case .unneeded:
      outcome.settle(path)
    case .refused(let reason):
      outcome.refuse(path, because: reason, entry)
    case .waiting(let reason):
      outcome.wait(path, because: reason.description)
      outcome.unpublished.entries[path] = entry
      // Opened after its last close, or before the watch began, or under another name: its grace begins now.
      if reason == .openForWriting { outcome.unpublished.entries[path]?.noteFoundOpen(at: .now) }
    case .failed(let reason, let scope):
      outcome.fail(path, because: reason, scope)
      outcome.unpublished.entries[path] = entry
    }
  }

  // MARK: Deletes, after everything else

  private func removeAbsent(
    _ absent: [RelativePath], batch: DirtySet.Batch, deferred: Set<RelativePath>,
    in outcome: inout PassOutcome
  ) async {
    guard let remover else {
      for path in absent { outcome.settle(path) }
      return
    }
    guard outcome.failed.isEmpty else {
      postpone(absent, of: batch, in: &outcome)
      return
    }
    guard !absent.isEmpty || !batch.goneDirectories.isEmpty || !batch.withheldDeletes.isEmpty else { return }
    // A renamed file's old object stays until the new one is there.
    let kept = outcome.unpublished.entries.values.compactMap(\.origin)
    let origins = batch.origins(await originsElsewhere().union(kept), absent: absent)
    let published = Set(outcome.met)
    let moved = Set(batch.entries.compactMap { path, entry in published.contains(path) ? entry.origin : nil })
    var absent = absent
    var batch = batch
    if removal == .moves {
      let (left, gone) = absent.partitioned {
        (moved.contains($0) || origins.contains($0)) && remover.ledger.isPublished($0)
      }
      for path in gone { outcome.settle(path) }
      absent = left
      batch.goneDirectories = [:]
      batch.withheldDeletes = []
    }
    // What an old marker on S3 may name stays until the marker's new version is there.
    let later = deferred.union(outcome.unpublished.entries.keys)
      .union(outcome.superseded.subtracting(outcome.held))
    let markers = later.filter(commitOrder.isMarker)
    let isNamed = { (path: RelativePath) in markers.contains { path.isWithin($0.parent) && path != $0 } }
    var (waiting, candidates) = absent.partitioned(by: isNamed)
    let alone = Set(absent)
    var listed: [RelativePath: String] = [:]
    var listedSince: [RelativePath: Instant] = [:]
    for (directory, since) in batch.goneDirectories {
      if isNamed(directory) {
        outcome.unpublished.goneDirectories[directory] = since
        continue
      }
      do {
        for (path, etag) in try await objects(below: directory) {
          if listed.updateValue(etag, forKey: path) == nil, !alone.contains(path) { candidates.append(path) }
          listedSince[path] = since
        }
      } catch {
        outcome.unpublished.goneDirectories[directory] = since
        outcome.fail(directory, because: cause(of: error), FailureScope(error))
      }
    }
    let (needed, ready) = candidates.partitioned(by: origins.contains)
    waiting += absent.filter(origins.contains)
    for path in waiting {
      comeBack(path, of: batch, in: &outcome) { $0.isKeptForHeir = origins.contains(path) }
    }
    for path in needed where outcome.unpublished.entries[path] == nil {
      guard let since = listedSince[path] else { continue }
      var entry = DirtyEntry(writing: .unknown, firstChange: since, lastChange: since)
      entry.isKeptForHeir = true
      outcome.unpublished.entries[path] = entry
    }
    let (held, free) = Array(batch.withheldDeletes.subtracting(candidates))
      .partitioned { isNamed($0) || origins.contains($0) }
    outcome.unpublished.withheldDeletes.formUnion(held)
    let removal = await remover.remove(
      ready + free, of: objectCount + outcome.created, moved: moved, listed: listed,
      known: batch.withheldDeletes)
    note(removal, batch: batch, in: &outcome)
  }

  /// Brings back a path of which nothing is left to be done but the delete.
  private func comeBack(
    _ path: RelativePath, of batch: DirtySet.Batch, in outcome: inout PassOutcome,
    _ change: (inout DirtyEntry) -> Void = { _ in }
  ) {
    guard var entry = batch.entries[path] else { return }
    entry.isGone = true
    change(&entry)
    outcome.unpublished.entries[path] = entry
  }

  private func postpone(_ absent: [RelativePath], of batch: DirtySet.Batch, in outcome: inout PassOutcome) {
    for path in absent { comeBack(path, of: batch, in: &outcome) }
    outcome.unpublished.goneDirectories = batch.goneDirectories
    outcome.unpublished.withheldDeletes = batch.withheldDeletes
  }

  private func note(
    _ removal: RemoteRemover.Outcome, batch: DirtySet.Batch, in outcome: inout PassOutcome
  ) {
    outcome.settled += removal.deleted + removal.needless
    outcome.met += removal.kept
    outcome.summary.deleted += removal.deleted.count
    for (path, reason) in removal.withheld {
      outcome.withhold(path, reason)
      outcome.unpublished.withheldDeletes.insert(path)
    }
    for (path, reason) in removal.failed {
      outcome.fail(path, because: reason, removal.unreachable.contains(path) ? .service : .path)
      comeBack(path, of: batch, in: &outcome)
      if batch.withheldDeletes.contains(path) { outcome.unpublished.withheldDeletes.insert(path) }
      for (directory, since) in batch.goneDirectories where path.isWithin(directory) {
        outcome.unpublished.goneDirectories[directory] = since
      }
    }
  }

  /// The objects that were published below a directory which left the tree. The one listing a tick may need.
  private func objects(below directory: RelativePath) async throws -> [(RelativePath, etag: String)] {
    var found: [(RelativePath, etag: String)] = []
    let listing = Listing(store: publisher.store, prefix: publisher.mapping.key(for: directory) + "/")
    try await listing.forEachPage { page in
      for object in page.content.objects {
        guard let path = publisher.mapping.path(forKey: object.key), !filter.excludes(path, .file) else {
          continue
        }
        found.append((path, object.etag))
      }
      return true
    }
    return found
  }
}
