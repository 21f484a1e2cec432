import LocalTree
import MirrorModel
import S3Client

/// Plans a download.
extension DownloadJob {
  /// The state that the upload of a sync finds after the download.
  struct Forecast: Sendable {
    /// The server's clock minus ours, in nanoseconds.
    var serverSkew: Int64 = 0
    /// The evidence of an earlier run.
    var known: EvidenceIndex?
    /// How many files the download will add.
    var newFiles = 0
    /// Whether no download is refused.
    var isComplete = true
    /// Whether the download covers the whole prefix, except for objects in the evidence.
    var isOfPrefix = false

    mutating func note(_ action: PlannedAction) {
      if action.kind == .refuse { isComplete = false }
      if action.kind == .download, action.reason == CopyReason.absent.rawValue { newFiles += 1 }
    }
  }

  /// - Throws: the errors that `run` would throw before its first fetch, and those of `each`.
  nonisolated(nonsending) func plan(
    _ each: (PlannedAction) throws -> Void
  ) async throws -> Forecast {
    var forecast = Forecast()
    try await plan(in: &forecast, each)
    return forecast
  }

  nonisolated(nonsending) private func plan(
    in forecast: inout Forecast, _ each: (PlannedAction) throws -> Void
  ) async throws {
    switch try await RemoteKind.find(location, in: store) {
    case .object(let object, let serverDate):
      forecast.serverSkew = skew(of: serverDate)
      try await planObject(object, in: &forecast, each)
    case .prefix where try await isFirstRunOfFile(): return
    case .prefix:
      // No action may be reported twice. So a listing that is not in S3's order is read once to find this
      // out, and then again.
      let order = ListingOrder()
      var held = Spool<RemoteEntry>()
      var extras = Spool<LocalEntry>()
      let survey: Survey
      do {
        survey = try await gather(order, &held, &extras)
      } catch is RemoteLister.OutOfOrder {
        held.removeAll()
        extras.removeAll()
        survey = try await gather(order, &held, &extras)
      }
      (forecast.serverSkew, forecast.isOfPrefix) = (survey.serverSkew, true)
      try await plan(held, extras, survey, in: &forecast, each)
    }
  }

  nonisolated(nonsending) private func planObject(
    _ object: RemoteObject, in forecast: inout Forecast, _ each: (PlannedAction) throws -> Void
  ) async throws {
    let (target, name) = try targetOfObject()
    let directory = target.removingLastComponent()
    let root = try kind(at: directory) == .directory ? try TreeRoot(path: directory) : nil
    let wanted = Wanted(path: name, key: location.key, object: object, serverSkew: forecast.serverSkew)
    let mapping = KeyMapping.file(name: name, key: location.key)
    if let action = await action(for: wanted, in: root, mapping: mapping) {
      forecast.note(action)
      try each(action)
    }
  }

  private func gather(
    _ order: ListingOrder, _ objects: inout Spool<RemoteEntry>, _ extras: inout Spool<LocalEntry>
  ) async throws -> Survey {
    let lister = RemoteLister(
      listing: Listing(store: store, prefix: location.prefix), mapping: .tree(prefix: location.prefix),
      filter: filter, order: order, wallClock: wallClock)
    let found = try await existingRoot()
    let root = delete ? found : nil
    let walk: any WalkSource = root.map { TreeWalk(root: $0, filter: filter) } ?? EmptyWalk()
    return try await TreeMerge.run(lister, walk) { merge in
      while let entry = try await nextRemote(&merge, extras: &extras) { try objects.append(entry) }
      return merge.survey
    }
  }

  nonisolated(nonsending) private func plan(
    _ objects: Spool<RemoteEntry>, _ extras: Spool<LocalEntry>, _ survey: Survey,
    in forecast: inout Forecast, _ each: (PlannedAction) throws -> Void
  ) async throws {
    if objects.isEmpty, survey.refusals.isEmpty, mode == .mirror, !location.isExplicitPrefix || delete {
      throw nothingThere
    }
    let root = try await existingRoot()
    let known = try await evidenceForPlan(in: root)
    forecast.known = known
    let mapping = KeyMapping.tree(prefix: location.prefix)
    var conflicts = NameConflicts()
    var markers = PlannedMarkers()
    nonisolated(nonsending) func tell(_ verdicts: [NameConflicts.Verdict]) async throws {
      // In the order of keys, which evidence is asked in.
      let verdictsAndEvidence = verdicts.map { verdict -> (NameConflicts.Verdict, EvidenceEntry?) in
        guard case .file(let entry) = verdict else { return (verdict, nil) }
        return (verdict, known?.entry(of: entry.path))
      }
      let steps = await concurrentEach(verdictsAndEvidence, width: questionWidth) {
        (verdict, known) -> PlannedAction? in
        switch verdict {
        case .marker(let directory): obstacle(to: directory, in: root).map { refusal(directory.string, $0) }
        case .conflict(let path): refusal(path.string, Self.conflictReason)
        case .file(let entry) where commitOrder.isMarker(entry.path): nil
        case .file(let entry) where isDeletedHere(entry, known, in: root): nil
        case .file(let entry):
          await action(
            for: Wanted(
              path: entry.path, key: mapping.key(for: entry.path), object: entry.object,
              serverSkew: survey.serverSkew, known: known), in: root,
            mapping: mapping)
        }
      }
      for case (.file(let entry), let known) in verdictsAndEvidence where commitOrder.isMarker(entry.path) {
        if !isDeletedHere(entry, known, in: root) { markers.held.hold(entry.path, entry.object) }
      }
      for action in steps.compactMap(\.self).sorted(by: { RelativePath($0.path) < RelativePath($1.path) }) {
        markers.note(action)
        forecast.note(action)
        try each(action)
      }
    }
    try await objects.forEachBatch(of: 1_000) { batch in
      try await tell(batch.flatMap { conflicts.pass($0) })
    }
    try await tell(conflicts.finish())
    for failure in survey.refusals {
      forecast.isComplete = false
      try each(refusal(failure.path, failure.reason))
    }
    for path in survey.refusedPaths(mapping) { markers.held.noteMissing(path) }
    for action in await actions(
      for: &markers, in: root, mapping: mapping, serverSkew: survey.serverSkew, known: known)
    {
      forecast.note(action)
      try each(action)
    }
    guard delete, mode == .mirror, let root else { return }
    let reason = reasonToKeepExtras(extras.count, of: root, survey: survey, isWhole: forecast.isComplete)
    try await extras.forEachBatch(of: 1_000) { batch in
      for file in batch {
        try each(
          PlannedAction(
            name: name, kind: reason == nil ? .deleteLocal : .withhold, path: file.path.string,
            bytes: file.stamp.size, reason: reason?.description ?? "extra"))
      }
    }
  }

  /// The commit markers of a plan, held until everything else is planned.
  private struct PlannedMarkers {
    var held = HeldMarkers()
    /// Directories that will have a changed file in them or below them.
    var changed: Set<RelativePath> = []

    mutating func note(_ action: PlannedAction) {
      let path = RelativePath(action.path)
      if action.kind == .refuse { held.noteMissing(path) } else { changed.formUnion(path.ancestors) }
    }
  }

  /// Plans the markers as `PrefixFetch` would fetch them. An equal marker is fetched too if the download
  /// withdraws it first.
  private func actions(
    for markers: inout PlannedMarkers, in root: TreeRoot?, mapping: KeyMapping, serverSkew: Int64,
    known: EvidenceIndex?
  ) async -> [PlannedAction] {
    var actions: [PlannedAction] = []
    for turn in markers.held.groups.flatMap(\.self) {
      for marker in turn.markers {
        let wanted = Wanted(
          path: marker.path, key: mapping.key(for: marker.path), object: marker.object,
          serverSkew: serverSkew,
          known: known?.entry(of: marker.path))
        let isWithdrawn = markers.changed.contains(turn.directory)
        guard
          let action = await action(
            for: wanted, in: root, mapping: mapping, isWithdrawn: isWithdrawn,
            obstacle: markers.held.obstacle(toMarkersOf: turn.directory))
        else { continue }
        if action.kind == .refuse {
          // A refused marker also holds back the later markers of its directory.
          markers.held.noteMissing(marker.path)
        } else {
          markers.changed.formUnion(turn.directory.ancestors)
        }
        actions.append(action)
      }
    }
    return actions
  }

  private func action(
    for marker: Wanted, in root: TreeRoot?, mapping: KeyMapping, isWithdrawn: Bool, obstacle: RelativePath?
  ) async -> PlannedAction? {
    let reason: CopyReason
    do {
      switch try await standing(of: marker, in: root, mapping: mapping) {
      case .absent: reason = .absent
      case .other(let other): reason = other
      case .same where isWithdrawn: reason = .content
      case .same, .later: return nil
      }
    } catch {
      return refusal(marker.path.string, cause(of: error))
    }
    if let obstacle { return refusal(marker.path.string, HeldMarkers.reason(toHoldFor: obstacle)) }
    return PlannedAction(
      name: name, kind: .download, path: marker.path.string, bytes: marker.object.byteCount,
      reason: reason.rawValue)
  }

  private func isDeletedHere(_ entry: RemoteEntry, _ known: EvidenceEntry?, in root: TreeRoot?) -> Bool {
    guard let known, let root, known.isOf(entry.object) else { return false }
    return Self.isAbsent(entry.path, in: root)
  }

  /// What an earlier run had here.
  private func evidenceForPlan(in root: TreeRoot?) async throws -> EvidenceIndex? {
    guard let evidence, let root else { return nil }
    return try await resources.readers.run {
      try knownHere(in: root) { EvidenceStore(evidence, root: root.identity, for: .reading) }
    }
  }

  /// Why a directory cannot be created; nil if it can be, or exists.
  private func obstacle(to directory: RelativePath, in root: TreeRoot?) -> String? {
    do {
      guard let entry = try root?.lookForPlace(at: directory), entry.kind != .directory else { return nil }
      return "cannot create the directory \(directory): something else has its name here"
    } catch {
      return cause(of: error)
    }
  }

  private func action(for wanted: Wanted, in root: TreeRoot?, mapping: KeyMapping) async -> PlannedAction? {
    do {
      guard let reason = try await reason(toFetch: wanted, to: root, mapping: mapping) else { return nil }
      return PlannedAction(
        name: name, kind: .download, path: wanted.path.string, bytes: wanted.object.byteCount,
        reason: reason.rawValue)
    } catch {
      return refusal(wanted.path.string, cause(of: error))
    }
  }

  private func refusal(_ path: String, _ reason: String) -> PlannedAction {
    PlannedAction(name: name, kind: .refuse, path: path, bytes: nil, reason: reason)
  }
}
