import LocalTree
import MirrorModel
import S3Client

/// Fetches the objects of one prefix into one root: data in the order of the listing, commit markers after
/// all data (DOWN-14).
struct PrefixFetch: Sendable {
  let job: DownloadJob
  let root: TreeRoot
  let mapping: KeyMapping
  /// The evidence of an earlier run.
  let known: EvidenceIndex?
  let evidence: EvidenceStore?
  /// Local markers that were removed and are to be fetched again.
  private let withdrawn = Tally<Set<RelativePath>>([])

  init(
    _ job: DownloadJob, into root: TreeRoot, mapping: KeyMapping, known: EvidenceIndex?,
    evidence: EvidenceStore?
  ) {
    var job = job
    job.notes = evidence
    self.job = job
    self.root = root
    self.mapping = mapping
    self.known = known
    self.evidence = evidence
  }

  func wanted(_ path: RelativePath, _ object: RemoteObject, serverSkew: Int64) -> DownloadJob.Wanted {
    DownloadJob.Wanted(
      path: path, key: mapping.key(for: path), object: object, serverSkew: serverSkew,
      known: known?.entry(of: path))
  }

  /// Whether the stamp alone shows that the file is unchanged. If so, notes the file.
  func isSeenUnchanged(_ wanted: DownloadJob.Wanted) throws -> Bool {
    guard try job.isSeenUnchanged(wanted, in: root) else { return false }
    if !isNoted(wanted) { note(wanted) }
    return true
  }

  private func isNoted(_ wanted: DownloadJob.Wanted) -> Bool { wanted.known?.isOf(wanted.object) == true }

  private func note(_ wanted: DownloadJob.Wanted) {
    evidence?.note(wanted.path, EvidenceEntry(etag: wanted.object.etag))
  }

  func fetch(_ wanted: DownloadJob.Wanted, under standing: StandingMarkers?) async -> DownloadJob.Step {
    if isDeletedHere(wanted) { return .deletedHere }
    let step = await job.fetch(wanted, to: root, mapping: mapping, under: standing)
    if step.isSettled, !isNoted(wanted) || withdrawn.sum.contains(wanted.path) { note(wanted) }
    return step
  }

  /// Whether an earlier run had the file here, and it was deleted since.
  private func isDeletedHere(_ wanted: DownloadJob.Wanted) -> Bool {
    isNoted(wanted) && !withdrawn.sum.contains(wanted.path) && DownloadJob.isAbsent(wanted.path, in: root)
  }

  // MARK: Commit markers

  /// The local markers around each path; nil if the root is empty.
  func standingPath() throws -> StandingPath? {
    if try root.isEmptyDirectory(.root, filter: .everything) == true { return nil }
    return StandingPath(
      root: root, order: job.commitOrder,
      access: .init(
        standing: { try await standing(ofMarkerAt: $0) },
        remove: { try await withdraw($0) }))
  }

  private func standing(ofMarkerAt path: RelativePath) async throws -> DownloadJob.Standing? {
    // Excluded names are left alone on both sides.
    if job.filter.excludes(path, .file) { return nil }
    let key = mapping.key(for: path)
    let page = try await job.store.send(ListObjectsV2(prefix: key, limit: 1))
    guard let listed = page.objects.first, listed.key.utf8.elementsEqual(key.utf8) else { return nil }
    let object = RemoteObject(
      byteCount: listed.byteCount, etag: listed.etag, lastModified: listed.lastModified ?? 0)
    return try await job.standing(
      of: wanted(path, object, serverSkew: job.skew(of: page.serverDate)), in: root, mapping: mapping)
  }

  private func withdraw(_ path: RelativePath) async throws {
    withdrawn.note { $0.insert(path) }
    // Noted before the removal: if this run is killed, the next run would otherwise assume that the user
    // deleted the marker.
    evidence?.noteDeleted(path)
    evidence?.flush()
    try await job.resources.writers.run { try root.remove(path) }
  }

  /// Fetches the markers, directory by directory from the deepest up. If a marker fails, the markers after it
  /// in its directory and those in directories above it are held back.
  ///
  /// - Parameter standing: the local markers around each directory that has markers to fetch.
  func fetch(
    _ held: HeldMarkers, serverSkew: Int64, under standing: [RelativePath: StandingMarkers],
    in outcome: inout DownloadJob.Outcome
  ) async throws {
    var held = held
    for group in held.groups {
      let ended = await concurrentEach(group, width: job.width) { [held] turn in
        await steps(
          of: turn, obstacle: held.obstacle(toMarkersOf: turn.directory), serverSkew: serverSkew,
          under: standing[turn.directory]?.ofDirectoriesAbove)
      }
      for (path, step) in ended.flatMap(\.self) {
        if case .failed = step { held.noteMissing(path) }
        job.note(step, in: &outcome)
      }
    }
  }

  private func steps(
    of turn: HeldMarkers.Turn, obstacle: RelativePath?, serverSkew: Int64, under standing: StandingMarkers?
  ) async -> [(RelativePath, DownloadJob.Step)] {
    var obstacle = obstacle
    var steps: [(RelativePath, DownloadJob.Step)] = []
    for marker in turn.markers {
      let wanted = wanted(marker.path, marker.object, serverSkew: serverSkew)
      let step = await step(wanted, obstacle: obstacle, under: standing)
      if case .failed = step { obstacle = obstacle ?? marker.path }
      steps.append((marker.path, step))
    }
    return steps
  }

  private func step(
    _ wanted: DownloadJob.Wanted, obstacle: RelativePath?, under standing: StandingMarkers?
  ) async -> DownloadJob.Step {
    do {
      if try isSeenUnchanged(wanted) { return .unchanged }
    } catch {
      return .failed(.init(path: wanted.path.string, FailureReason(error)))
    }
    guard let obstacle else { return await fetch(wanted, under: standing) }
    if isDeletedHere(wanted) { return .deletedHere }
    // A marker that does not change need not wait.
    if await staysAsItIs(wanted) { return .unchanged }
    return .failed(.init(path: wanted.path.string, reason: HeldMarkers.reason(toHoldFor: obstacle)))
  }

  private func staysAsItIs(_ wanted: DownloadJob.Wanted) async -> Bool {
    do {
      return try await job.reason(toFetch: wanted, to: root, mapping: mapping) == nil
    } catch {
      return false
    }
  }
}

extension HeldMarkers {
  static func reason(toHoldFor obstacle: RelativePath) -> String {
    "it waits for \(obstacle), which could not be fetched"
  }
}
