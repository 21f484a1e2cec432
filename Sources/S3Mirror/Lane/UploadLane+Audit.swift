import LocalTree
import MirrorModel

// The check that the watch misses nothing: from time to time everything is compared, and no difference should
// be found.
extension UploadLane {
  /// The limit of drifted paths that one comparison takes; the next audit finds the others.
  static let driftLimit = 10_000

  /// Compares everything, counts the differences that no event reported, and marks their paths dirty.
  func audit() async {
    let start = Instant.now
    let requestsBefore = requests.counts
    var outcome = PassOutcome(summary: summary(of: .audit))
    await place.noteMounts()
    do {
      let drift = try await drift(noting: &outcome)
      activity.note(drift: drift.count)
      if !drift.isEmpty {
        notices.sayDrift(drift.sorted(), foundBy: .audit, in: root, ledger: ledger)
        let entry = DirtyEntry(at: schedule.clock.now)
        schedule.adopt(
          DirtySet.Batch(
            entries: Dictionary(drift.map { ($0, entry) }, uniquingKeysWith: { first, _ in first })))
      }
    } catch {
      outcome.summary.failures.append(.init(path: ".", FailureReason(error)))
    }
    finish(&outcome, since: start, requestsBefore)
    journal.passed(outcome.summary)
  }

  /// The paths that a comparison finds different, and that are not dirty even after every event until its end
  /// was noted.
  private func drift(noting outcome: inout PassOutcome) async throws -> [RelativePath] {
    let reconciler = reconciler
    // A publication in flight may arrive after its part was listed.
    let inFlight = schedule.pathsInFlight
    var found: [RelativePath] = []
    var absent: Set<RelativePath> = []
    let (survey, extras) = try await reconciler.surveyor.survey(.root) { differences in
      let copies = await reconciler.content.settle(differences, width: reconciler.width)
      let some = copies.prefix(Self.driftLimit - found.count)
      found += some.map(\.path)
      absent.formUnion(some.lazy.filter { $0.reason == .absent }.map(\.path))
    }
    note(survey, in: &outcome)
    if settings.delete, !mayHoldExtras {
      try await writers.partition(extras).ours.entries.forEachBatch(of: Self.driftLimit) { entries in
        let gone = entries.map(\.path).filter {
          DirectoryMarker($0) == nil && survey.reasonToKeep($0) == nil
        }
        found += gone.prefix(Self.driftLimit - found.count)
      }
    }
    await place.fence()
    // Polled parts may hold changes that no event reported, so they are no drift.
    if settings.policy.interval == .zero { await poll() }
    defer { tellOfFreshLinks() }
    guard !schedule.isRootLost else { return [] }
    // A new file that is gone again leaves nothing to do, so it is not dirty.
    let drift = found.filter { path in
      !inFlight.contains(path) && !schedule.isDirty(path)
        && !differsByRight(path, whenGone: absent.contains(path))
    }
    return drift.isEmpty ? [] : withoutNames(ofDirtyFilesIn: drift)
  }

  /// Drops other names of dirty files: the next pass publishes them too, and looks for them only then.
  private func withoutNames(ofDirtyFilesIn paths: [RelativePath]) -> [RelativePath] {
    var names: Set<RelativePath> = []
    var inodes: Set<UInt64> = []
    let dirty = schedule.dirtyPaths
    for path in dirty {
      names.formUnion(aliases.others(of: path))
      if let stamp = root.stamp(ofFileAt: path) { inodes.insert(stamp.inode) }
    }
    return paths.filter { path in
      guard !names.contains(path) else { return false }
      guard let stamp = root.stamp(ofFileAt: path) else { return true }
      // If nothing is dirty, no pass will check this file's names.
      return !inodes.contains(stamp.inode) && (dirty.isEmpty || !aliases.isToBeLookedAt(stamp))
    }
  }

  /// Whether a difference is no drift: the file is written through a mapping, has become a link or directory,
  /// or cannot be a key.
  private func differsByRight(_ path: RelativePath, whenGone: Bool) -> Bool {
    if settings.mapping.refusal(of: path) != nil { return true }
    do {
      guard let entry = try root.look(at: path) else { return whenGone }
      guard entry.kind == .file, let file = try root.open(path) else { return true }
      return file.probeWriters() == .present
    } catch {
      // The publication reports the error.
      return true
    }
  }
}

// The exit compares too, but no event reports changes during this comparison. So only a file that had not
// changed for some time can be drift.
extension UploadLane {
  /// Until when the watch has reported everything, and which directories it could not watch.
  struct Heard: Sendable {
    /// Nanoseconds since 1970-01-01 UTC.
    var until: Int64
    var polled: [RelativePath]
  }

  /// Ends the watch, except for names that appear (`LateArrivals`). Returns nil if there was no watch.
  func stopListening() async -> Heard? {
    // File times lag behind the clock by up to one tick of the kernel, 10 ms at most. Two ticks are
    // subtracted for safety.
    let until = wallClock() - 20_000_000
    let isListening = place.isWatching && !place.lacksWatch
    if isListening { await place.fence() }
    lateArrivals.begin()
    return isListening ? Heard(until: until, polled: Array(schedule.polled.keys)) : nil
  }

  /// Whether a file differs from S3 although nothing was left to do for it.
  func isDrift(_ file: LocalEntry, heard: Heard?) -> Bool {
    // The target of a pointer may be excluded, and then no event reports its changes.
    if let target = file.pointer?.target, settings.filter.excludes(target, .file) { return false }
    guard isSilent(file.path, heard: heard), file.stamp.changed < heard?.until ?? 0 else { return false }
    // The file may be written through a mapping, or have changed since the comparison read its stamp.
    guard case .success(let now?) = Result(catching: { try root.look(at: file.path) }) else { return false }
    return now.stamp == file.stamp && !differsByRight(file.path, whenGone: true)
  }

  /// Objects without a file whose delete no event reported.
  func driftingExtras(
    _ found: Reconciler.Findings, heard: Heard?, limit: Int
  ) async throws -> [RelativePath] {
    guard heard != nil, !mayHoldExtras else { return [] }
    var drift: [RelativePath] = []
    try await found.extras.entries.forEachBatch(of: Self.driftLimit) { entries in
      let gone = entries.map(\.path).filter {
        DirectoryMarker($0) == nil && found.survey.reasonToKeep($0) == nil && isSilent($0, heard: heard)
      }
      drift += gone.prefix(limit - drift.count)
    }
    return drift
  }

  /// Whether nothing waits for the path, and no directory above it has changed since the watch's last report.
  private func isSilent(_ path: RelativePath, heard: Heard?) -> Bool {
    guard let heard, !schedule.isDirty(path), !heard.polled.contains(where: path.isWithin) else {
      return false
    }
    return path.ancestors.allSatisfy { directory in
      switch Result(catching: { try root.look(at: directory) }) {
      case .success(let entry): entry.map { $0.stamp.changed < heard.until } ?? true
      case .failure: false
      }
    }
  }
}
