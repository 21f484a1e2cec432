/// The paths that changed since they were last published. The set stays small: many changes to one path are
/// one entry, and a directory with too many entries becomes one comparison.
///
/// The set holds paths, not states. A pass reads the filesystem when it takes a path. So a superfluous path
/// costs one stat, while a missing path leaves S3 wrong until the comparison at exit.
package struct DirtySet: Sendable {
  package internal(set) var entries: [RelativePath: DirtyEntry] = [:]
  /// Directories to compare, because their events were lost, are not available or were too many.
  package internal(set) var rescans: [RelativePath: RescanReason] = [:]
  /// Directories that left the tree together with everything below them.
  package internal(set) var goneDirectories: [RelativePath: Instant] = [:]
  package internal(set) var isRootLost = false
  /// Names whose deletes a pass withheld. Their objects exist, and each pass decides again.
  package internal(set) var withheldDeletes: Set<RelativePath> = []

  /// Directories that appeared since the set was last taken. This run has published nothing below them.
  var newDirectories: Set<RelativePath> = []
  /// Directories that appeared in this run and below which nothing was published yet.
  var unseenDirectories: Set<RelativePath> = []
  /// Earlier names of directories that were renamed lately.
  var aliases = DirectoryAliases()
  /// How many entries are held one by one before directories collapse.
  let capacity: Int
  var oldestRescan: Instant?
  /// The batch of the latest pass. Each of its names may have been published. Its comparisons end when the
  /// pass returns its rest.
  var underWay = Batch()
  /// Publications that have outlived their pass, with the entries of their paths. Changes of such a path wait
  /// in `entries` until the publication ends.
  package private(set) var inFlight: [RelativePath: DirtyEntry] = [:]
  /// Publications in flight that ended since the latest pass took its batch.
  private var landed: Set<RelativePath> = []
  /// When the watch last reported that a directory had left the tree.
  var departures: [RelativePath: Instant] = [:]
  /// The sorted names of `underWay`, made at the first use.
  var sortedUnderWay: [RelativePath]?
  private var oldestUnderWay: Instant?
  private var oldestRescanUnderWay: Instant?

  package static let defaultCapacity = 100_000

  package init(capacity: Int = DirtySet.defaultCapacity) {
    self.capacity = max(1, capacity)
  }

  package var isEmpty: Bool { entries.isEmpty && rescans.isEmpty && goneDirectories.isEmpty }

  /// The names whose objects are kept until the renamed files are published.
  package var origins: Set<RelativePath> {
    Set([entries, inFlight].joined().lazy.compactMap(\.value.origin?.path))
  }

  var isRunning: Bool { oldestUnderWay != nil }

  /// When the oldest unpublished change happened, among waiting entries, the running pass, and publications
  /// in flight.
  package var oldestChange: Instant? {
    [oldestWaiting, oldestUnderWay, inFlight.values.lazy.map(\.firstChange).min()].compactMap { $0 }.min()
  }

  private var oldestWaiting: Instant? {
    let oldest = [entries.values.lazy.map(\.firstChange).min(), goneDirectories.values.min(), oldestRescan]
    return oldest.compactMap { $0 }.min()
  }

  // MARK: Taking and giving back

  /// What one pass works on.
  package struct Batch: Sendable {
    package var entries: [RelativePath: DirtyEntry]
    package var rescans: [RelativePath: RescanReason]
    package var goneDirectories: [RelativePath: Instant]
    package var withheldDeletes: Set<RelativePath>

    package init(
      entries: [RelativePath: DirtyEntry] = [:], rescans: [RelativePath: RescanReason] = [:],
      goneDirectories: [RelativePath: Instant] = [:], withheldDeletes: Set<RelativePath> = []
    ) {
      self.entries = entries
      self.rescans = rescans
      self.goneDirectories = goneDirectories
      self.withheldDeletes = withheldDeletes
    }

    package var isEmpty: Bool {
      entries.isEmpty && rescans.isEmpty && goneDirectories.isEmpty && withheldDeletes.isEmpty
    }

    /// Whether something is known to be gone, so that the pass may delete objects.
    package var hasGone: Bool {
      !goneDirectories.isEmpty || !withheldDeletes.isEmpty || entries.contains { $0.value.isGone }
    }

    /// The given names to keep, and the origins of those among them that are gone. A file may leave a name
    /// before it was published there; then its object is still under the name before that.
    package func origins(_ origins: Set<RelativePath>, absent: [RelativePath]) -> Set<RelativePath> {
      let absent = Set(absent)
      var kept = origins
      var names = Array(origins)
      while let name = names.popLast() {
        guard absent.contains(name), let origin = entries[name]?.origin?.path, kept.insert(origin).inserted
        else { continue }
        names.append(origin)
      }
      return kept
    }

    func contains(_ path: RelativePath) -> Bool {
      entries[path] != nil || rescans[path] != nil || goneDirectories[path] != nil
    }

    var paths: [RelativePath] { Array(entries.keys) + rescans.keys + goneDirectories.keys }
  }

  /// Takes the entries for which `isReady` is true, and the rescans and deleted directories for which `isDue`
  /// is true. The rest stays here.
  package mutating func take(
    where isReady: (RelativePath, DirtyEntry) -> Bool,
    directories isDue: (RelativePath) -> Bool = { _ in true }
  ) -> Batch {
    let oldest = oldestWaiting
    let batch = Batch(
      entries: entries.filter { !isInFlight($0.key, $0.value) && isReady($0.key, $0.value) },
      rescans: rescans.filter { isDue($0.key) },
      // A publication in flight may create an object below a deleted directory.
      goneDirectories: goneDirectories.filter { isDue($0.key) && !hasFlights(below: $0.key) },
      withheldDeletes: withheldDeletes)
    guard !batch.isEmpty else { return batch }
    withheldDeletes = []
    if batch.entries.count == entries.count {
      entries = [:]
    } else {
      for path in batch.entries.keys { entries[path] = nil }
    }
    for directory in batch.rescans.keys { rescans[directory] = nil }
    for directory in batch.goneDirectories.keys { goneDirectories[directory] = nil }
    newDirectories = []
    aliases.age()
    landed = []
    underWay = batch
    sortedUnderWay = nil
    oldestUnderWay = oldest
    oldestRescanUnderWay = oldestRescan
    if rescans.isEmpty { oldestRescan = nil }
    // A comparison may publish the entries that stay here. A pass that lists a deleted directory keeps the
    // objects whose names are in use again. So these names are no longer new.
    if !batch.rescans.isEmpty || !batch.goneDirectories.isEmpty {
      for path in entries.keys where entries[path]?.isNew == true { entries[path]?.isNew = false }
    }
    return batch
  }

  /// Records that the running pass publishes these paths too.
  package mutating func noteTaken(_ more: [RelativePath: DirtyEntry]) {
    guard !more.isEmpty else { return }
    underWay.entries.merge(more) { taken, _ in taken }
    sortedUnderWay = nil
    // The watch reported them after the batch was taken.
    for path in more.keys { entries[path]?.isNew = false }
  }

  /// Records that a comparison outside of any batch may publish paths below a directory, until `giveBack`.
  package mutating func noteComparing(_ directory: RelativePath) {
    underWay.rescans = [directory: .collapsed]
  }

  /// Joins an unpublished entry with later changes of the path.
  private mutating func bringBack(_ path: RelativePath, _ given: DirtyEntry) {
    var earlier = given
    if given.holdsMarkers { earlier.wholeSince = given.wholeSince ?? given.firstChange }
    var entry = entries[path].map(earlier.merged) ?? earlier
    // A request whose answer was lost may have succeeded.
    entry.isNew = false
    entry.unit = nil
    entry.wasTried = true
    entries[path] = entry
  }

  /// The directory nearest to the root, above a path, of which nothing is on S3 yet.
  func unseenDirectory(above path: RelativePath) -> RelativePath? {
    if unseenDirectories.isEmpty { return nil }
    return path.ancestors.reversed().first(where: unseenDirectories.contains)
  }

  private mutating func noteSeen(_ path: RelativePath) {
    for directory in path.ancestors { unseenDirectories.remove(directory) }
  }

  /// Ends a pass. Takes back what the pass could not publish, joined with later changes.
  package mutating func giveBack(_ batch: Batch, at now: Instant) {
    if !unseenDirectories.isEmpty {
      for (path, entry) in underWay.entries
      where !entry.isGone && batch.entries[path] == nil && inFlight[path] == nil { noteSeen(path) }
    }
    for (path, given) in batch.entries { bringBack(path, given) }
    // A comparison outside of any pass does not show what became of a pass's names.
    if isRunning {
      let (names, flights, landed) = (underWay.entries, inFlight, landed)
      settleOrigins(
        where: { names[$0] != nil && flights[$0] == nil && !landed.contains($0) },
        back: { batch.entries[$0] })
    }
    for (directory, reason) in batch.rescans where rescans[directory] == nil {
      noteRescan(directory, reason, at: oldestRescanUnderWay ?? now)
    }
    goneDirectories.merge(batch.goneDirectories) { min($0, $1) }
    withheldDeletes.formUnion(batch.withheldDeletes.filter { entries[$0] == nil })
    // The comparison at exit finds the forgotten ones.
    if withheldDeletes.count > capacity { withheldDeletes = [] }
    underWay.rescans = [:]
    underWay.withheldDeletes = []
    oldestUnderWay = nil
    oldestRescanUnderWay = nil
    departures = departures.filter { goneDirectories[$0.key] != nil }
    keepWithinCapacity()
  }

  // MARK: Publications that outlive their pass

  /// Records publications of the running pass that go on after its end.
  package mutating func depart(_ flights: [RelativePath: DirtyEntry]) {
    inFlight.merge(flights) { $1 }
  }

  /// Rechecks paths in flight below a directory whose events were lost, because the comparison leaves these
  /// paths out.
  mutating func recheckFlights(comparedBy rescans: [RelativePath: RescanReason], at now: Instant) {
    for (directory, reason) in rescans where !reason.isStanding {
      for path in inFlight.keys where path.isWithin(directory) { recheck(path, at: now) }
    }
  }

  /// Ends a publication that has outlived its pass.
  ///
  /// - Parameter back: the entry that remains to be done; nil if the path was published.
  package mutating func land(_ path: RelativePath, back: DirtyEntry?, at now: Instant) {
    guard let entry = inFlight.removeValue(forKey: path) else { return }
    landed.insert(path)
    if back == nil { noteSeen(path) }
    // This run has published the name, so events from now on are not about a new name.
    if underWay.entries.updateValue(entry, forKey: path) == nil { sortedUnderWay = nil }
    entries[path]?.isNew = false
    if let back { bringBack(path, back) }
    settleOrigins(where: { $0 == path }, back: { _ in back })
    keepWithinCapacity()
  }

  /// Whether a pass has to leave a path out because of a publication in flight.
  func isInFlight(_ path: RelativePath, _ entry: DirtyEntry) -> Bool {
    if inFlight.isEmpty { return false }
    // The path's file may be the very file that is in flight under its old name. When that publication has
    // ended, the server can copy the object.
    return inFlight[path] != nil || entry.origin.map { inFlight[$0.path] != nil } ?? false
  }

  /// Whether a path waits for a publication in flight: its own, or that of the name that its file left.
  package func isKeptByFlight(_ path: RelativePath) -> Bool {
    entries[path].map { isInFlight(path, $0) } ?? false
  }

  /// The paths that wait for one publication in flight: its own if that changed since or is in the running pass,
  /// and those that its file was renamed to.
  package func paths(keptByFlightOf path: RelativePath) -> Set<RelativePath> {
    var kept = Set(entries.lazy.filter { $0.key == path || $0.value.origin?.path == path }.map(\.key))
    if underWay.entries[path] != nil { kept.insert(path) }
    return kept
  }

  func hasFlights(below directory: RelativePath) -> Bool {
    inFlight.keys.contains { $0.isWithin(directory) }
  }

  // MARK: Origins

  /// Updates origins after the outcome of their names is known.
  private mutating func settleOrigins(
    where isSettled: (RelativePath) -> Bool, back: (RelativePath) -> DirtyEntry?
  ) {
    for (path, entry) in entries {
      guard var origin = entry.origin, isSettled(origin.path) else { continue }
      let back = back(origin.path)
      if origin.isInHand {
        // The file was not published under that name, so its last object is still under the name before.
        if let earlier = back?.origin { origin.path = earlier.path }
        origin.isInHand = false
        entries[path]?.origin = origin
      } else if back == nil {
        // Another file was published under the name, or its object was deleted.
        entries[path]?.origin = nil
      }
    }
  }

  /// Whether entries of this path may have been dropped, or their events lost, since the last complete pass.
  func isForgetful(of path: RelativePath) -> Bool {
    if rescans.isEmpty && underWay.rescans.isEmpty { return false }
    return ([path] + path.ancestors).contains { directory in
      [rescans[directory], underWay.rescans[directory]].contains { $0?.isStanding == false }
    }
  }

  /// Whether this run may have an object under a path that has no entry: a pass works on the path, a
  /// comparison covers it, or it was created again before a pass could delete the objects below a deleted
  /// directory.
  func mayBePublished(_ path: RelativePath) -> Bool {
    if underWay.entries[path] != nil || inFlight[path] != nil { return true }
    if withheldDeletes.contains(path) || underWay.withheldDeletes.contains(path) { return true }
    if rescans.isEmpty && underWay.rescans.isEmpty && underWay.goneDirectories.isEmpty { return false }
    return ([path] + path.ancestors).contains {
      rescans[$0] != nil || underWay.rescans[$0] != nil || underWay.goneDirectories[$0] != nil
    }
  }
}
