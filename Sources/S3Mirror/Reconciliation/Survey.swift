import LocalTree
import MirrorModel
import S3Client

/// The results of comparing a local tree with its listing, besides the differences themselves.
struct Survey: Sendable {
  /// The server's clock minus ours, in nanoseconds; 0 if its answers have no `Date`.
  var serverSkew: Int64 = 0
  var localFiles = 0
  var remoteObjects = 0
  /// Parts that could not be read, with the reason. Nothing below them is deleted.
  var unreadable: [RelativePath: String] = [:]
  /// Names that are not UTF-8 and so cannot be keys, written as by `RelativePath.escaping`.
  var undecodable: [RelativePath] = []
  var skipped = 0
  /// The first skipped names.
  private(set) var skippedNames: [SkippedName] = []
  /// Keys that no local path can safely have. They are left alone.
  var refused: [UnsafeKey] = []
  /// Those of the refused keys that are directory markers with content.
  var foreignMarkers: Set<DirectoryMarker> = []
  /// Keys that are not UTF-8. They are left alone.
  var unreadableKeys: [String] = []
  /// Directories that contain such keys. Their listing is not trusted for deletes.
  var unseenRemotely: Set<RelativePath> = []

  /// Keys under which some servers store the object of a local file whose name has a backslash.
  private var aliases: [RelativePath: RelativePath] = [:]
  /// There are more such keys than are kept, so any key may be one.
  private var hasUncountedAliases = false

  /// The limit of kept names of files with a backslash and without an object, about 200 bytes each.
  private static let aliasLimit = 10_000

  /// Notes a file whose name has a backslash and that seems to have no object. Some servers (SeaweedFS) store
  /// a backslash as a slash. Then the file's object looks missing, and an object without a local file looks
  /// superfluous: deleting it would delete the file's only copy.
  mutating func noteAlias(of path: RelativePath) {
    guard aliases.count < Self.aliasLimit else {
      hasUncountedAliases = true
      return
    }
    aliases[RelativePath(String(path.string.map { $0 == "\\" ? "/" : $0 }))] = path
  }

  /// Notes a link or special file. It is not a file to S3, but it is not absent either.
  mutating func noteSkipped(_ path: RelativePath, _ kind: EntryKind) {
    skipped += 1
    if skippedNames.count < ConditionNotices.namedSkips {
      skippedNames.append(SkippedName(path: path, kind: kind))
    }
  }

  /// Why an object without a local file must stay, judged by what could be read and listed; nil if it may be
  /// deleted.
  func reasonToKeep(_ path: RelativePath) -> WithheldReason? {
    if !unreadable.isEmpty || !unseenRemotely.isEmpty {
      for place in [path] + path.ancestors {
        if unreadable[place] != nil || unseenRemotely.contains(place) { return .unseen(place) }
      }
    }
    if let other = aliases[path] { return .alias(of: other) }
    return hasUncountedAliases ? .unseen(.root) : nil
  }

  /// Paths that cannot be published, and parts that could not be read.
  var localFailures: [MirrorError.Failure] {
    unreadableFailures + undecodable.map { .init(path: $0.string, reason: KeyMapping.undecodableName) }
  }

  /// Parts that could not be read.
  var unreadableFailures: [MirrorError.Failure] {
    unreadable.sorted { $0.key < $1.key }.map { .init(path: $0.key.description, reason: $0.value) }
  }

  /// Objects whose keys no local path can have.
  var refusals: [MirrorError.Failure] {
    refused.map { .init(path: $0.key, reason: "the key is refused: \($0)") }
      + unreadableKeys.map {
        .init(path: $0, reason: "the key is refused: it is not UTF-8, so no path here stands for it")
      }
  }

  /// The paths at which the objects of refused keys would be.
  func refusedPaths(_ mapping: KeyMapping) -> [RelativePath] {
    (refused.map(\.key) + unreadableKeys).map { mapping.path(forKey: $0) ?? RelativePath($0) }
  }

  /// Why no object at all may be inferred deleted; nil if each object is to be judged.
  func blanketReason(bound: DeleteBound, wasEmptyAtEntry: Bool, unpublished: WithheldReason?)
    -> WithheldReason?
  {
    if let unpublished { return unpublished }
    if bound == .unlimited { return nil }
    if wasEmptyAtEntry { return .rootEmptyAtEntry }
    return localFiles == 0 ? .rootEmpty : nil
  }
}

/// A path that must be published, or may have to be.
enum Difference: Sendable {
  /// S3 lacks the file, or has another size or content.
  case copy(LocalEntry, CopyReason, RemoteObject?)
  /// The sizes are equal, so the contents must be compared.
  case suspect(LocalEntry, RemoteObject)
  /// An empty directory has no marker on S3.
  case marker(DirectoryMarker)
}

/// Objects without a local file, kept until the end of a comparison: in memory while they are few, otherwise
/// on disk.
struct Extras: Sendable {
  /// Objects without a local file or directory.
  fileprivate(set) var entries = Spool<RemoteEntry>()

  var count: Int { entries.count }

  /// - Parameter belongs: for each object of a batch, whether it belongs to the first part.
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

  /// The extras that satisfy the condition.
  func filtered(_ counts: (RemoteEntry) -> Bool) async throws -> Extras {
    var kept = Extras()
    try await entries.forEachBatch(of: 1_000) { batch in
      for entry in batch where counts(entry) { try kept.entries.append(entry) }
    }
    return kept
  }
}

/// Compares one upload's tree with S3, and changes neither.
struct Surveyor: Sendable {
  /// The number of differences in one batch: about 4 MB.
  static let batchSize = 8_192

  let root: TreeRoot
  let mapping: KeyMapping
  let filter: PathFilter
  let symlinks: SymlinkPolicy
  let comparison: Comparison
  let store: any ObjectStore
  let order: ListingOrder
  let wallClock: @Sendable () -> Int64
  /// Notes files with several names, and followed links; nil if nothing is published afterwards.
  var aliases: Aliases?
  /// With `marker`, an empty directory without a marker is a difference.
  var emptyDirectories = Options.EmptyDirectories.skip
  /// Receives the markers that are on S3, if this matters.
  var ledger: PublishedLedger?
  /// The evidence of earlier runs; nil if contents are always compared.
  var evidence: EvidenceStore?
  /// Receives every object, if it matters what was under the prefix when the mirror began.
  var entryObjects: EntryObjects?
  /// Local checkpoints that are not to be published.
  var retired = RetiredUnits()
  /// Replaces the walk in tests.
  var walk: (@Sendable (RelativePath) -> any WalkSource)?

  /// Compares `directory` and everything below it, and passes the differences to `each` in bounded batches.
  ///
  /// Until the listing has ended it may turn out to be unordered, and earlier differences may turn out to be
  /// wrong. So differences that are found before its end wait in a spool. If there is much to publish, the
  /// listing is short; if the listing is long, there are few differences.
  ///
  /// - Throws: `S3Error` if the listing is not complete; the errors of `each`. Local parts that cannot be
  ///   read are in the survey.
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
    // A marker that a later listing shows first may be another writer's.
    let listedMarkers = entryObjects?.isComplete == true ? nil : ledger
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
            listedMarkers?.noteListed(entry.path)
            try extras.entries.append(entry)
            continue
          }
          if let file = pairing.local, file.stamp.links > 1, file.kind == .file {
            aliases?.note(file.path, file.stamp, metBy: directory.isRoot ? .comparisonOfEverything : .other)
          }
          let found = difference(pairing, serverSkew: merge.serverSkew)
          guard let difference = found, known?.settles(difference) != true else {
            if case .both(let file, let entry) = pairing {
              ledger?.noteSame(
                file.path, file.stamp, etag: entry.object.etag, crc32: known?.checksum(of: entry.object))
            }
            continue
          }
          // The ledger has the markers that are equal already.
          if let entry = pairing.remote { listedMarkers?.noteListed(entry.path) }
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

  /// What published links lead to.
  func pointerTargets() -> Set<RelativePath> {
    guard symlinks == .pointer || symlinks == .link else { return [] }
    var targets: Set<RelativePath> = []
    for item in TreeWalk(root: root, filter: filter, symlinks: symlinks) {
      switch item {
      case .pointer(_, _, let pointer): targets.insert(pointer.target)
      case .link(_, _, let target?): targets.insert(target)
      default: continue
      }
    }
    return targets
  }

  private func known(below directory: RelativePath) -> KnownEquals? {
    guard let evidence, comparison.policy == .standard else { return nil }
    // The ledger knows what this run has published, unless it has forgotten some of it.
    let stream =
      ledger?.hasForgotten == true
      ? evidence.streamToNow(from: directory) : evidence.stream(from: directory)
    let isTree = if case .tree = mapping { true } else { false }
    return KnownEquals(
      evidence, stream, for: comparison, seesEverything: isTree && directory.isRoot)
  }

  private func source(_ directory: RelativePath) -> any WalkSource {
    if let walk { return walk(directory) }
    // Only this file is read, because its directory may hold many other files.
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
      switch comparison.upload(local: file.stampForComparison, remote: entry.object) {
      case .same: return nil
      case .copy(let reason): return .copy(file, reason, entry.object)
      case .suspect: return .suspect(file, entry.object)
      }
    }
  }
}
