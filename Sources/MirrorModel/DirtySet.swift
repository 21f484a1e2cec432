/// The paths that changed since they were last published, kept small: many changes to one path are one entry, and
/// directories with too many become one "compare this directory" each.
///
/// The set names paths, not states: whether a path is there, and what, is asked of the filesystem when it is taken.
/// So naming a path once too often costs a look; forgetting one leaves S3 wrong until the exit's comparison.
package struct DirtySet: Sendable {
  package internal(set) var entries: [RelativePath: DirtyEntry] = [:]
  /// Directories to compare, because their events were lost, cannot be had or were too many.
  package internal(set) var rescans: [RelativePath: RescanReason] = [:]
  /// Directories that left the tree with everything below them.
  package internal(set) var goneDirectories: [RelativePath: Instant] = [:]
  package internal(set) var isRootLost = false
  /// Names whose deletes a pass has withheld: their objects are there, and each pass looks at them again.
  package internal(set) var withheldDeletes: Set<RelativePath> = []

  /// Directories that appeared since the set was last taken: nothing of this run was published below them.
  var newDirectories: Set<RelativePath> = []
  /// Directories that appeared in this run, and below which nothing was published.
  var unseenDirectories: Set<RelativePath> = []
  /// The earlier names of directories that were renamed lately.
  var aliases = DirectoryAliases()
  /// How many entries may be held one by one before directories collapse.
  let capacity: Int
  var oldestRescan: Instant?
  /// What the latest pass took: a name of it may have been published. Its comparisons end when it gives back.
  var underWay = Batch()
  /// Publications that have outlived their pass, with what was known of their paths. What happens to such a path waits in `entries`
  /// until the publication has ended.
  package private(set) var inFlight: [RelativePath: DirtyEntry] = [:]
  /// Publications that ended while the pass runs which they had outlived, or a later one.
  private var landed: Set<RelativePath> = []
  /// When a directory was last told to have left the tree.
  var departures: [RelativePath: Instant] = [:]
  /// The names of `underWay` in their order, made when they are first asked for.
  var sortedUnderWay: [RelativePath]?
  private var oldestUnderWay: Instant?
  private var oldestRescanUnderWay: Instant?

  package static let defaultCapacity = 100_000

  package init(capacity: Int = DirtySet.defaultCapacity) {
    self.capacity = max(1, capacity)
  }

  package var isEmpty: Bool { entries.isEmpty && rescans.isEmpty && goneDirectories.isEmpty }

  /// The names whose objects are kept until the files that left them are published.
  package var origins: Set<RelativePath> {
    Set([entries, inFlight].joined().lazy.compactMap(\.value.origin?.path))
  }

  var isRunning: Bool { oldestUnderWay != nil }

  /// When the oldest change happened that is not published: what waits here, what a pass has in hand, and what is in flight.
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

    /// The names to keep for these, joined by those that the gone ones among them would need themselves: who left a name
    /// before he was published there has his object where he came from.
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

  /// Takes the entries that `isReady`, and the rescans and gone directories that are due; the rest waits here.
  package mutating func take(
    where isReady: (RelativePath, DirtyEntry) -> Bool,
    directories isDue: (RelativePath) -> Bool = { _ in true }
  ) -> Batch {
    let oldest = oldestWaiting
    let batch = Batch(
      entries: entries.filter { !isInFlight($0.key, $0.value) && isReady($0.key, $0.value) },
      rescans: rescans.filter { isDue($0.key) },
      // A publication that is on its way may make an object below a directory that is gone.
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
    // The comparison may publish what stays, and what is listed of a gone directory is kept where its name is in use again. So the
    // names are new no more.
    if !batch.rescans.isEmpty || !batch.goneDirectories.isEmpty {
      for path in entries.keys where entries[path]?.isNew == true { entries[path]?.isNew = false }
    }
    return batch
  }

  /// Says that the pass in hand publishes these too.
  package mutating func noteTaken(_ more: [RelativePath: DirtyEntry]) {
    guard !more.isEmpty else { return }
    underWay.entries.merge(more) { taken, _ in taken }
    sortedUnderWay = nil
    // Told between the taking and now.
    for path in more.keys { entries[path]?.isNew = false }
  }

  /// Says that a comparison outside of any batch may publish what lies below a directory, until something is given back.
  package mutating func noteComparing(_ directory: RelativePath) {
    underWay.rescans = [directory: .collapsed]
  }

  /// Joins what could not be published with what happened in the meantime.
  private mutating func bringBack(_ path: RelativePath, _ given: DirtyEntry) {
    var earlier = given
    if given.holdsMarkers { earlier.wholeSince = given.wholeSince ?? given.firstChange }
    var entry = entries[path].map(earlier.merged) ?? earlier
    // A request whose answer was lost may have been carried out.
    entry.isNew = false
    entry.unit = nil
    entry.wasTried = true
    entries[path] = entry
  }

  /// The directory nearest to the root, above a path, that readers of S3 do not see yet.
  func unseenDirectory(above path: RelativePath) -> RelativePath? {
    if unseenDirectories.isEmpty { return nil }
    return path.ancestors.reversed().first(where: unseenDirectories.contains)
  }

  private mutating func noteSeen(_ path: RelativePath) {
    for directory in path.ancestors { unseenDirectories.remove(directory) }
  }

  /// Ends a pass, and brings back what it could not publish, joined with what happened in the meantime.
  package mutating func giveBack(_ batch: Batch, at now: Instant) {
    if !unseenDirectories.isEmpty {
      for (path, entry) in underWay.entries
      where !entry.isGone && batch.entries[path] == nil && inFlight[path] == nil { noteSeen(path) }
    }
    for (path, given) in batch.entries { bringBack(path, given) }
    // What was found outside of any pass says nothing of what became of a pass's names.
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
    // The exit's comparison finds those that are forgotten.
    if withheldDeletes.count > capacity { withheldDeletes = [] }
    underWay.rescans = [:]
    underWay.withheldDeletes = []
    oldestUnderWay = nil
    oldestRescanUnderWay = nil
    departures = departures.filter { goneDirectories[$0.key] != nil }
    keepWithinCapacity()
  }

  // MARK: Publications that outlive their pass

  /// Lets publications of the pass in hand go on after it.
  package mutating func depart(_ flights: [RelativePath: DirtyEntry]) {
    inFlight.merge(flights) { $1 }
  }

  /// Has what is in flight looked at once more where a comparison stands for events that were lost: the comparison leaves it out.
  mutating func recheckFlights(comparedBy rescans: [RelativePath: RescanReason], at now: Instant) {
    for (directory, reason) in rescans where !reason.isStanding {
      for path in inFlight.keys where path.isWithin(directory) { recheck(path, at: now) }
    }
  }

  /// Ends a publication that has outlived its pass.
  ///
  /// - Parameter back: what is still to be done; nil where it was published.
  package mutating func land(_ path: RelativePath, back: DirtyEntry?, at now: Instant) {
    guard let entry = inFlight.removeValue(forKey: path) else { return }
    landed.insert(path)
    if back == nil { noteSeen(path) }
    // Published under this name, so it is not new to whatever is told of it from now on.
    if underWay.entries.updateValue(entry, forKey: path) == nil { sortedUnderWay = nil }
    entries[path]?.isNew = false
    if let back { bringBack(path, back) }
    settleOrigins(where: { $0 == path }, back: { _ in back })
    keepWithinCapacity()
  }

  /// Whether a pass has to leave out a path, or a directory, for what is in flight.
  func isInFlight(_ path: RelativePath, _ entry: DirtyEntry) -> Bool {
    if inFlight.isEmpty { return false }
    // A file that left the name of another one in flight may be that file: it is copied on the server when that has ended.
    return inFlight[path] != nil || entry.origin.map { inFlight[$0.path] != nil } ?? false
  }

  /// Whether a path waits for a publication in flight, of itself or of the name that its file left.
  package func isKeptByFlight(_ path: RelativePath) -> Bool {
    entries[path].map { isInFlight(path, $0) } ?? false
  }

  func hasFlights(below directory: RelativePath) -> Bool {
    inFlight.keys.contains { $0.isWithin(directory) }
  }

  // MARK: Origins

  /// Brings origins up to date with what came of their names.
  private mutating func settleOrigins(
    where isSettled: (RelativePath) -> Bool, back: (RelativePath) -> DirtyEntry?
  ) {
    for (path, entry) in entries {
      guard var origin = entry.origin, isSettled(origin.path) else { continue }
      let back = back(origin.path)
      if origin.isInHand {
        // Not published before the file left it, so what S3 has lies where it lay before.
        if let earlier = back?.origin { origin.path = earlier.path }
        origin.isInHand = false
        entries[path]?.origin = origin
      } else if back == nil {
        // Another file was published under the name, or nothing is to be deleted.
        entries[path]?.origin = nil
      }
    }
  }

  /// Whether entries of this path may have been dropped, or their events lost, since a pass last published all.
  func isForgetful(of path: RelativePath) -> Bool {
    if rescans.isEmpty && underWay.rescans.isEmpty { return false }
    return ([path] + path.ancestors).contains { directory in
      [rescans[directory], underWay.rescans[directory]].contains { $0?.isStanding == false }
    }
  }

  /// Whether something of this run may lie under a path that has no entry: a pass has it in hand, a comparison covers
  /// it, or it came back before the pass could remove what lay below a gone directory.
  func mayBePublished(_ path: RelativePath) -> Bool {
    if underWay.entries[path] != nil || inFlight[path] != nil { return true }
    if withheldDeletes.contains(path) || underWay.withheldDeletes.contains(path) { return true }
    if rescans.isEmpty && underWay.rescans.isEmpty && underWay.goneDirectories.isEmpty { return false }
    return ([path] + path.ancestors).contains {
      rescans[$0] != nil || underWay.rescans[$0] != nil || underWay.goneDirectories[$0] != nil
    }
  }
}
