import LocalTree
import LoopThread
import MirrorModel
import S3Client
import SystemPackage
import Transfers

/// One download: an object, or everything under a prefix.
struct DownloadJob: Sendable {
  enum Mode: Sendable, Hashable {
    /// Local files are made equal to the objects.
    case mirror
    /// A later local file stays (DOWN-9). Nothing is deleted, and on a first run the remote may be absent.
    case resume
  }

  struct Outcome: Sendable {
    var files = 0
    /// The fetched files that were not here before.
    var newFiles = 0
    var bytes: Int64 = 0
    var unchanged = 0
    /// Objects that were not fetched because their files were deleted here.
    var deletedHere = 0
    var deleted = 0
    var withheldDeletes = 0
    /// The first thousand withheld deletes.
    var withheld: [RelativePath: WithheldReason] = [:]
    var failures: [MirrorError.Failure] = []
    /// The path that the caller gets: a directory, or the file of a single object.
    var local: FilePath

    mutating func add(_ other: Outcome) {
      files += other.files
      newFiles += other.newFiles
      bytes += other.bytes
      unchanged += other.unchanged
      deletedHere += other.deletedHere
      failures += other.failures
    }

    mutating func withhold(_ path: RelativePath, _ reason: WithheldReason) {
      withheldDeletes += 1
      if withheld.count < 1_000 { withheld[path] = reason }
    }
  }

  let name: String
  let location: S3Location
  let local: FilePath
  /// Whether the local path was written with a trailing slash or is a directory. A single object goes into it
  /// then.
  let isIntoDirectory: Bool
  let filter: PathFilter
  let mode: Mode
  let delete: Bool
  let bound: DeleteBound
  /// Distinguishes commit markers from data.
  var commitOrder: CommitOrder
  let compare: ComparePolicy
  /// Files under way at one time.
  let width: Int
  /// Files that are compared with objects at one time.
  let questionWidth: Int
  let store: any ObjectStore
  let resources: TransferResources
  let journal: Journal
  let wallClock: @Sendable () -> Int64
  /// The evidence of earlier runs; nil if it is not used.
  var evidence: EvidencePlace?
  /// Where files that are found equal are noted; nil if they are not noted.
  var notes: EvidenceStore?
  /// Receives every object, if an upload from the same path follows.
  var entryObjects: EntryObjects?
  /// How deep the root lies below the directory that no link may leave.
  var rootDepth = 0

  struct Wanted: Sendable {
    var path: RelativePath
    var key: String
    var object: RemoteObject
    /// The server's clock minus ours, in nanoseconds, as far as known.
    var serverSkew: Int64 = 0
    /// The evidence of an earlier run.
    var known: EvidenceEntry?
  }

  /// The result for one file.
  enum Step: Sendable {
    /// - Parameter bytes: how many bytes were received.
    case fetched(_ bytes: Int64, CopyReason)
    case unchanged
    case deletedHere
    case failed(MirrorError.Failure)

    /// Whether file and object are equal now.
    var isSettled: Bool {
      switch self {
      case .fetched: true
      // `unchanged` includes files that are later than their objects.
      case .unchanged, .deletedHere, .failed: false
      }
    }
  }

  /// - Throws: `S3Error`; `TreeError`; `MirrorError` if there is nothing under the remote.
  func run() async throws -> Outcome {
    switch try await RemoteKind.find(location, in: store) {
    case .object(let object, let serverDate):
      return try await fetchObject(object, serverSkew: skew(of: serverDate))
    case .prefix where try await isFirstRunOfFile():
      entryObjects?.complete()
      return Outcome(local: local)
    case .prefix:
      let outcome = try await fetchPrefix()
      entryObjects?.complete()
      return outcome
    }
  }

  /// Whether a sync of one file has nothing to fetch yet: the file is here, and nothing is on S3.
  func isFirstRunOfFile() async throws -> Bool {
    guard mode == .resume, try kind(at: local) == .file else { return false }
    return try await store.send(ListObjectsV2(prefix: location.prefix, limit: 1)).objects.isEmpty
  }

  // MARK: One object

  private func fetchObject(_ object: RemoteObject, serverSkew: Int64) async throws -> Outcome {
    let (target, fileName) = try targetOfObject()
    let root = try await openRoot(target.removingLastComponent())
    let wanted = Wanted(path: fileName, key: location.key, object: object, serverSkew: serverSkew)
    entryObjects?.note(fileName, object)
    entryObjects?.complete()
    var outcome = Outcome(local: target)
    note(await fetch(wanted, to: root, mapping: .file(name: wanted.path, key: wanted.key)), in: &outcome)
    return outcome
  }

  /// The server's clock minus ours, measured when its answer arrives; 0 if the answer has no date.
  func skew(of serverDate: Int64?) -> Int64 { serverDate.map { $0 - wallClock() } ?? 0 }

  /// The local path of a single object.
  ///
  /// - Throws: `MirrorError` if there is no such path, and for a sync into a directory: such a file would be
  ///   uploaded below the object's own name.
  func targetOfObject() throws -> (FilePath, name: RelativePath) {
    guard mode != .resume || !isIntoDirectory else {
      throw MirrorError(
        .local,
        "\(location.url) is one object and \(local) a directory; name a file, or end the URL with a slash for what lies below it"
      )
    }
    let name = FilePath.Component(String(RelativePath(location.key).name))
    let target = isIntoDirectory ? name.map { local.appending($0) } : local
    guard let target, let fileName = target.lastComponent else {
      throw MirrorError(.invalid, "\(location.url): no local file name; name a local path")
    }
    return (target, RelativePath(fileName.string))
  }

  // MARK: A prefix

  private func fetchPrefix() async throws -> Outcome {
    let order = ListingOrder()
    var outcome = Outcome(local: local)
    do {
      try await fetchPrefix(order, in: &outcome)
    } catch is RemoteLister.OutOfOrder {
      // The files that were fetched until now are found unchanged in the second reading. Failed files are
      // tried again.
      outcome.unchanged = -outcome.files
      outcome.deletedHere = 0
      outcome.failures = []
      try await fetchPrefix(order, in: &outcome)
    }
    return outcome
  }

  /// Fetches while the listing goes on. Only a few pages and the files under way are in memory.
  private func fetchPrefix(_ order: ListingOrder, in outcome: inout Outcome) async throws {
    let mapping = KeyMapping.tree(prefix: location.prefix)
    let lister = RemoteLister(
      listing: Listing(store: store, prefix: location.prefix), mapping: mapping, filter: filter, order: order,
      wallClock: wallClock)
    // Only a download that deletes must know the other local files.
    let found = try await existingRoot()
    let root = delete ? found : nil
    let walk: any WalkSource = root.map { TreeWalk(root: $0, filter: filter) } ?? EmptyWalk()
    // Files from an earlier reading of the listing were not here when the download began. The walk has
    // already passed the files that this reading fetches.
    let brought = outcome.newFiles
    try await TreeMerge.run(lister, walk) { merge in
      var extras = Spool<LocalEntry>()
      try await fetch(from: &merge, mapping: mapping, extras: &extras, in: &outcome)
      if delete, mode == .mirror, let root {
        var survey = merge.survey
        survey.localFiles -= brought
        try await removeExtras(extras, of: root, survey: survey, in: &outcome)
      }
    }
  }

  /// The evidence of an earlier run. Nil if the directory is empty: then the user wants all files back.
  func knownHere(in root: TreeRoot, _ store: () -> EvidenceStore) throws -> EvidenceIndex? {
    try root.isEmptyDirectory(.root, filter: filter) == true ? nil : EvidenceIndex(store())
  }

  static func isAbsent(_ path: RelativePath, in root: TreeRoot) -> Bool {
    if case .success(nil) = Result(catching: { try root.look(at: path) }) { true } else { false }
  }

  /// Nil if there is no local directory yet, and so nothing to delete.
  ///
  /// - Throws: `MirrorError.local` if a file has the directory's place.
  func existingRoot() async throws -> TreeRoot? {
    try await resources.readers.run {
      switch try kind(at: local) {
      case nil: nil
      case .directory: try TreeRoot(path: local)
      default:
        throw MirrorError(
          .local, "\(local) is no directory, and \(location.url) is no single object; name another local path"
        )
      }
    }
  }

  private func fetch(
    from merge: inout TreeMerge, mapping: KeyMapping, extras: inout Spool<LocalEntry>,
    in outcome: inout Outcome
  ) async throws {
    var first = try await nextRemote(&merge, extras: &extras)
    let survey = merge.survey
    if first == nil, survey.refused.isEmpty, survey.unreadableKeys.isEmpty, mode == .mirror,
      !location.isExplicitPrefix || delete
    {
      throw nothingThere
    }
    let root = try await openRoot(local)
    let (known, evidence) = try await resources.readers.run { () -> (EvidenceIndex?, EvidenceStore?) in
      guard let place = self.evidence else { return (nil, nil) }
      let store = EvidenceStore(place, root: root.identity, for: .writing, wallClock: wallClock)
      return (try knownHere(in: root) { store }, store)
    }
    defer { evidence?.close() }
    let prefix = PrefixFetch(self, into: root, mapping: mapping, known: known, evidence: evidence)
    var standing = try await resources.readers.run { try prefix.standingPath() }
    var standingAtMarkers: [RelativePath: StandingMarkers] = [:]
    let queue = WorkQueue<(wanted: Wanted, standing: StandingMarkers?)>(capacity: width)
    let fetched = Tally(Outcome(local: local))
    let isLocal = root.isLocalThroughout
    async let work: Void = queue.workOff(
      width: { [width, slots = resources.slots] in
        isLocal ? min(width, Options.downloadsUnderWay(forRequests: Int(slots.limit))) : width
      }, on: isLocal ? store.executors : []
    ) { item in
      let step = await prefix.fetch(item.wanted, under: item.standing)
      fetched.note { note(step, in: &$0) }
    }
    var held = HeldMarkers()
    var conflicts = NameConflicts()
    func settle(_ verdicts: [NameConflicts.Verdict]) async throws {
      for verdict in verdicts {
        switch verdict {
        case .marker(let directory):
          do {
            try root.makeDirectory(directory)
          } catch {
            outcome.failures.append(.init(path: directory.string, FailureReason(error)))
          }
        case .conflict(let path):
          outcome.failures.append(.init(path: path.string, reason: Self.conflictReason))
        case .file(let entry) where commitOrder.isMarker(entry.path):
          do {
            standingAtMarkers[entry.path.parent] = try standing?.markers(around: entry.path)
            held.hold(entry.path, entry.object)
          } catch let error as TreeError {
            outcome.failures.append(.init(path: entry.path.string, FailureReason(error)))
          }
        case .file(let entry):
          let wanted = prefix.wanted(entry.path, entry.object, serverSkew: merge.serverSkew)
          if try prefix.isSeenUnchanged(wanted) {
            outcome.unchanged += 1
          } else {
            do {
              await queue.add((wanted, try standing?.markers(around: entry.path)))
            } catch let error as TreeError {
              outcome.failures.append(.init(path: entry.path.string, FailureReason(error)))
            }
          }
        }
      }
    }
    let listing: Result<Void, any Error>
    do {
      while let entry = first {
        try await settle(conflicts.pass(entry))
        first = try await nextRemote(&merge, extras: &extras)
      }
      try await settle(conflicts.finish())
      listing = .success(())
    } catch {
      listing = .failure(error)
    }
    // If the listing breaks off, the fetches under way still end and count.
    queue.finish()
    await work
    outcome.add(fetched.sum)
    try listing.get()
    for failure in outcome.failures { held.noteMissing(RelativePath(failure.path)) }
    note(merge.survey, in: &outcome)
    for path in merge.survey.refusedPaths(mapping) { held.noteMissing(path) }
    try await prefix.fetch(held, serverSkew: merge.serverSkew, under: standingAtMarkers, in: &outcome)
  }

  /// The next object. Local files without an object are collected on the way.
  func nextRemote(_ merge: inout TreeMerge, extras: inout Spool<LocalEntry>) async throws
    -> RemoteEntry?
  {
    while let pairing = try await merge.next() {
      switch pairing {
      case .remote(let entry), .both(_, let entry), .marker(_, let entry?):
        entryObjects?.note(entry.path, entry.object)
        return entry
      case .marker(_, nil): continue
      case .local(let file): try extras.append(file)
      }
    }
    return nil
  }

  /// Adds a failure for each object that cannot be fetched.
  private func note(_ survey: Survey, in outcome: inout Outcome) {
    outcome.failures += survey.refusals
  }

  static let conflictReason = "S3 has both this object and objects below it; rename one of them"

  var nothingThere: MirrorError {
    MirrorError(
      .local, "there is nothing at \(location.url): neither an object nor a prefix; check the URL")
  }

  private func openRoot(_ path: FilePath) async throws -> TreeRoot {
    try await resources.readers.run {
      try createDirectories(path)
      return try TreeRoot(path: path)
    }
  }

  func note(_ step: Step, in outcome: inout Outcome) {
    switch step {
    case .fetched(let bytes, let reason):
      outcome.files += 1
      if reason == .absent { outcome.newFiles += 1 }
      outcome.bytes += bytes
    case .unchanged: outcome.unchanged += 1
    case .deletedHere: outcome.deletedHere += 1
    case .failed(let failure): outcome.failures.append(failure)
    }
  }
}
