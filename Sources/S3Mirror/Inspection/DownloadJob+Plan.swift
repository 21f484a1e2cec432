import LocalTree
import MirrorModel
import S3Client

/// What a download would do.
extension DownloadJob {
  /// - Throws: what `run` would throw before it fetches anything; what `each` throws.
  nonisolated(nonsending) func plan(
    _ each: (PlannedAction) throws -> Void
  ) async throws {
    switch try await RemoteKind.find(location, in: store) {
    case .object(let object, let serverDate):
      try await planObject(object, serverSkew: skew(of: serverDate), each)
    case .prefix:
      // Nothing may be told twice, so the order of the listing is found out first where it is not S3's.
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
      try await plan(held, extras, survey, each)
    }
  }

  nonisolated(nonsending) private func planObject(
    _ object: RemoteObject, serverSkew: Int64, _ each: (PlannedAction) throws -> Void
  ) async throws {
    let (target, name) = try targetOfObject()
    let directory = target.removingLastComponent()
    let root = try kind(at: directory) == .directory ? try TreeRoot(path: directory) : nil
    let wanted = Wanted(path: name, key: location.key, object: object, serverSkew: serverSkew)
    let mapping = KeyMapping.file(name: name, key: location.key)
    if let action = await action(for: wanted, in: root, mapping: mapping) { try each(action) }
  }

  private func gather(
    _ order: ListingOrder, _ objects: inout Spool<RemoteEntry>, _ extras: inout Spool<LocalEntry>
  ) async throws -> Survey {
    let lister = RemoteLister(
      listing: Listing(store: store, prefix: location.prefix), mapping: .tree(prefix: location.prefix),
      filter: filter, order: order, wallClock: wallClock)
    let root = delete ? try await existingRoot() : nil
    let walk: any WalkSource = root.map { TreeWalk(root: $0, filter: filter) } ?? EmptyWalk()
    return try await TreeMerge.run(lister, walk) { merge in
      while let entry = try await nextRemote(&merge, extras: &extras) { try objects.append(entry) }
      return merge.survey
    }
  }

  nonisolated(nonsending) private func plan(
    _ objects: Spool<RemoteEntry>, _ extras: Spool<LocalEntry>, _ survey: Survey,
    _ each: (PlannedAction) throws -> Void
  ) async throws {
    if objects.isEmpty, survey.refusals.isEmpty, mode == .mirror, !location.isExplicitPrefix || delete {
      throw nothingThere
    }
    let root = try await existingRoot()
    let known = try await knownHere()
    let mapping = KeyMapping.tree(prefix: location.prefix)
    var conflicts = NameConflicts()
    var isWhole = true
    nonisolated(nonsending) func tell(_ verdicts: [NameConflicts.Verdict]) async throws {
      let steps = await concurrentEach(verdicts, width: width) { verdict -> PlannedAction? in
        switch verdict {
        case .marker: nil
        case .conflict(let path): refusal(path.string, Self.conflictReason)
        case .file(let entry) where isDeletedHere(entry, known, in: root): nil
        case .file(let entry):
          await action(
            for: Wanted(
              path: entry.path, key: mapping.key(for: entry.path), object: entry.object,
              serverSkew: survey.serverSkew), in: root,
            mapping: mapping)
        }
      }
      for action in steps.compactMap(\.self).sorted(by: { RelativePath($0.path) < RelativePath($1.path) }) {
        if action.kind == .refuse { isWhole = false }
        try each(action)
      }
    }
    try await objects.forEachBatch(of: 1_000) { batch in
      try await tell(batch.flatMap { conflicts.pass($0) })
    }
    try await tell(conflicts.finish())
    for failure in survey.refusals {
      isWhole = false
      try each(refusal(failure.path, failure.reason))
    }
    guard delete, mode == .mirror, let root else { return }
    let reason = reasonToKeepExtras(extras.count, of: root, survey: survey, isWhole: isWhole)
    try await extras.forEachBatch(of: 1_000) { batch in
      for file in batch {
        try each(
          PlannedAction(
            name: name, kind: reason == nil ? .deleteLocal : .withhold, path: file.path.string,
            bytes: file.stamp.size, reason: reason?.description ?? "extra"))
      }
    }
  }

  private func isDeletedHere(_ entry: RemoteEntry, _ known: Evidence?, in root: TreeRoot?) -> Bool {
    guard let known, let root, known.holds(entry.path, etag: entry.object.etag) else { return false }
    return Self.isAbsent(entry.path, in: root)
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
