import LocalTree
import MirrorModel
import S3Client

/// What a comparison of a local tree with its listing came to, beside the differences themselves.
struct Survey: Sendable {
  /// The server's clock minus ours, in nanoseconds; 0 where it sends no `Date`.
  var serverSkew: Int64 = 0
  var localFiles = 0
  var remoteObjects = 0
  /// Parts that could not be read, with the reason: nothing below them is deleted.
  var unreadable: [RelativePath: String] = [:]
  /// Names that are not UTF-8 and so cannot be keys, as `RelativePath.escaping` writes them.
  var undecodable: [RelativePath] = []
  var skipped = 0
  /// The first of them.
  private(set) var skippedNames: [SkippedName] = []
  /// Keys without a safe place here. They are left alone.
  var refused: [UnsafeKey] = []
  /// Of these the ones of directory markers that have content.
  var foreignMarkers: Set<DirectoryMarker> = []
  /// Keys that are not UTF-8. They are left alone.
  var unreadableKeys: [String] = []
  /// Directories of such keys: what the listing says of them is not trusted for deletes.
  var unseenRemotely: Set<RelativePath> = []

  /// Keys under which a server may keep the object of a local file with another name.
  private var aliases: [RelativePath: RelativePath] = [:]
  /// More of them than are kept in mind: any key may be one.
  private var hasUncountedAliases = false

  /// Names in mind, of files that have a backslash and no object: some 200 bytes each.
  private static let aliasLimit = 10_000

  /// Some servers (SeaweedFS) keep a backslash as a slash. The file's object then looks missing, and an object that
  /// nobody has here looks superfluous: deleting it would delete the file's only copy.
  mutating func noteAlias(of path: RelativePath) {
    guard aliases.count < Self.aliasLimit else {
      hasUncountedAliases = true
      return
    }
    aliases[RelativePath(String(path.string.map { $0 == "\\" ? "/" : $0 }))] = path
  }

  /// A link or special file is no file to S3, but neither is it absent.
  mutating func noteSkipped(_ path: RelativePath, _ kind: EntryKind) {
    skipped += 1
    if skippedNames.count < ConditionNotices.namedSkips {
      skippedNames.append(SkippedName(path: path, kind: kind))
    }
  }

  /// Why an object without a local file must stay, as far as reading and listing went; nil if it may go.
  func reasonToKeep(_ path: RelativePath) -> WithheldReason? {
    if !unreadable.isEmpty || !unseenRemotely.isEmpty {
      for place in [path] + path.ancestors {
        if unreadable[place] != nil || unseenRemotely.contains(place) { return .unseen(place) }
      }
    }
    if let other = aliases[path] { return .alias(of: other) }
    return hasUncountedAliases ? .unseen(.root) : nil
  }

  /// What cannot be published, or not be seen whole.
  var localFailures: [MirrorError.Failure] {
    unreadableFailures + undecodable.map { .init(path: $0.string, reason: KeyMapping.undecodableName) }
  }

  /// What cannot be seen whole.
  var unreadableFailures: [MirrorError.Failure] {
    unreadable.sorted { $0.key < $1.key }.map { .init(path: $0.key.description, reason: $0.value) }
  }

  /// Objects that no file here can stand for.
  var refusals: [MirrorError.Failure] {
    refused.map { .init(path: $0.key, reason: "the key is refused: \($0)") }
      + unreadableKeys.map {
        .init(path: $0, reason: "the key is refused: it is not UTF-8, so no path here stands for it")
      }
  }

  /// Where the objects of refused keys would be.
  func refusedPaths(_ mapping: KeyMapping) -> [RelativePath] {
    (refused.map(\.key) + unreadableKeys).map { mapping.path(forKey: $0) ?? RelativePath($0) }
  }

  /// Why no object at all may be inferred deleted; nil if that is to be judged one by one.
  func blanketReason(bound: DeleteBound, wasEmptyAtEntry: Bool, unpublished: WithheldReason?)
    -> WithheldReason?
  {
    if let unpublished { return unpublished }
    if bound == .unlimited { return nil }
    if wasEmptyAtEntry { return .rootEmptyAtEntry }
    return localFiles == 0 ? .rootEmpty : nil
  }
}

/// A file that must be published, or may have to.
enum Difference: Sendable {
  /// Absent on S3, or of another size there.
  case copy(LocalEntry, CopyReason, RemoteObject?)
  /// Equal size, but the content must settle it.
  case suspect(LocalEntry, RemoteObject)
  /// An empty directory has no marker on S3.
  case marker(DirectoryMarker)
}

/// The differences of a comparison that must wait for its end: in memory while they are few, on disk if not.
struct Extras: Sendable {
  /// Objects without a local file or directory.
  fileprivate(set) var entries = Spool<RemoteEntry>()

  var count: Int { entries.count }

  /// - Parameter belongs: whether each of a batch belongs to the first part.
  nonisolated(nonsending) func partitioned(_ belongs: ([RemoteEntry]) async throws -> [Bool]) async throws
    -> (Extras, Extras)
  {
    var (first, second) = (Extras(), Extras())
    try await entries.forEachBatch(of: 1_000) { batch in
      for (entry, isFirst) in zip(batch, try await belongs(batch)) {
        if isFirst { try first.entries.append(entry) } else { try second.entries.append(entry) }
      }
    }
    return (first, second)
  }

  /// Those of them that count.
  func filtered(_ counts: (RemoteEntry) -> Bool) async throws -> Extras {
    var kept = Extras()
    try await entries.forEachBatch(of: 1_000) { batch in
      for entry in batch where counts(entry) { try kept.entries.append(entry) }
    }
    return kept
  }
}

/// Compares one upload's tree with S3, without touching either.
struct Surveyor: Sendable {
  /// Differences handed out at one go: about 4 MB of them.
  static let batchSize = 8_192

  let root: TreeRoot
  let mapping: KeyMapping
  let filter: PathFilter
  let symlinks: SymlinkPolicy
  let comparison: Comparison
  let store: any ObjectStore
  let order: ListingOrder
  let wallClock: @Sendable () -> Int64
  /// Keeps files with more than one name, and links that are followed; nil where nothing is published from them later.
  var aliases: Aliases?
  /// With markers an empty directory without one is a difference.
  var emptyDirectories = Options.EmptyDirectories.skip
  /// Told of markers that are there, where somebody wants to know.
  var ledger: PublishedLedger?
  /// What earlier runs knew; nil where nothing is trusted but content.
  var evidence: EvidenceStore?
  /// Told of every object, where somebody wants to know what lay there when the mirror began.
  var entryObjects: EntryObjects?
  /// Checkpoints here that are not to be published.
  var retired = RetiredUnits()
  /// Stands in for the walk in tests.
  var walk: (@Sendable (RelativePath) -> any WalkSource)?

  /// Compares `directory` and everything below it, handing out what differs in bounded batches as it is found.
  ///
  /// As long as the listing goes on it may turn out to be unordered, and what was found so far to be wrong. So
  /// nothing is handed out before its end: what is found until then waits in a spool. A listing is short where there is much to publish,
  /// and what differs is little where it is long.
  ///
  /// - Throws: `S3Error` when the listing cannot be had in full; what cannot be read locally is in the survey; what
  ///   `each` throws.
  nonisolated(nonsending) func survey(
    _ directory: RelativePath = .root,
    _ each: ([Difference]) async throws -> Void
  ) async throws -> (Survey, Extras) {
    do {
      return try await compare(directory, each)
    } catch is RemoteLister.OutOfOrder {
      return try await compare(directory, each)
    }
  }

  nonisolated(nonsending) private func compare(
    _ directory: RelativePath,
    _ each: ([Difference]) async throws -> Void
  ) async throws -> (Survey, Extras) {
    let prefix = directory.isRoot ? mapping.listingPrefix : mapping.key(for: directory) + "/"
    let lister = RemoteLister(
      listing: Listing(store: store, prefix: prefix), mapping: mapping, filter: filter, order: order,
      wallClock: wallClock)
    var source = source(directory)
    if emptyDirectories == .marker, case .tree = mapping {
      source = MarkerWalk(source, from: directory, filter: filter)
    }
    let known = known(below: directory)
    return try await TreeMerge.run(lister, source) { merge in
      var known = known
      var extras = Extras()
      var early = Spool<Difference>()
      var batch: [Difference] = []
      while try await merge.refill() {
        while let pairing = merge.nextAtHand() {
          if let entryObjects, let entry = pairing.remote { entryObjects.note(entry.path, entry.object) }
          known?.meet(pairing.path)
          if case .remote(let entry) = pairing {
            try extras.entries.append(entry)
            continue
          }
          if let file = pairing.local, file.stamp.links > 1 {
            aliases?.note(file.path, file.stamp, metBy: directory.isRoot ? .comparisonOfEverything : .other)
          }
          guard let difference = difference(pairing, serverSkew: merge.serverSkew) else { continue }
          if known?.settles(difference) == true {
            if case .suspect(let file, let object) = difference {
              ledger?.noteSame(file.path, file.stamp, etag: object.etag)
            }
            continue
          }
          if merge.isListingComplete {
            if !early.isEmpty {
              try await early.forEachBatch(of: Self.batchSize, each)
              early.removeAll()
            }
            batch.append(difference)
            if batch.count == Self.batchSize {
              try await each(batch)
              batch = []
            }
          } else {
            try early.append(difference)
          }
        }
      }
      try await early.forEachBatch(of: Self.batchSize, each)
      if directory.isRoot { entryObjects?.complete() }
      if !batch.isEmpty { try await each(batch) }
      if merge.survey.unreadable.isEmpty { known?.finish { filter.excludes($0, .file) } }
      return (merge.survey, extras)
    }
  }

  private func known(below directory: RelativePath) -> KnownEquals? {
    guard let evidence, comparison.policy == .standard else { return nil }
    // What this run has published is in the ledger, as far as that reaches.
    let stream =
      ledger?.hasForgotten == true
      ? evidence.streamToNow(from: directory) : evidence.stream(from: directory)
    let isTree = if case .tree = mapping { true } else { false }
    return KnownEquals(
      evidence, stream, for: comparison, seesEverything: isTree && directory.isRoot)
  }

  private func source(_ directory: RelativePath) -> any WalkSource {
    if let walk { return walk(directory) }
    // The file's directory may hold a great deal that is not asked for.
    let onLink = aliases?.linkObserver
    if case .file(let name, _) = mapping {
      return FileWalk(root: root, path: name, symlinks: symlinks, onLink: onLink)
    }
    return TreeWalk(root: root, start: directory, filter: filter, symlinks: symlinks, onLink: onLink)
  }

  private func difference(_ pairing: Pairing, serverSkew: Int64) -> Difference? {
    var comparison = comparison
    comparison.serverSkew = serverSkew
    switch pairing {
    case .remote: return nil
    case .local(let file):
      return retired.contains(file.path, file.stamp, serverSkew: serverSkew) ? nil : .copy(file, .absent, nil)
    case .marker(let marker, let entry?):
      ledger?.note(.init(etag: entry.object.etag, source: .compared), for: marker)
      return nil
    case .marker(let marker, nil): return .marker(marker)
    case .both(let file, let entry):
      switch comparison.upload(local: file.stamp, remote: entry.object) {
      case .same:
        ledger?.noteSame(file.path, file.stamp, etag: entry.object.etag)
        return nil
      case .copy(let reason): return .copy(file, reason, entry.object)
      case .suspect: return .suspect(file, entry.object)
      }
    }
  }
}
