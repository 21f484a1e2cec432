/// Instants are passed in, so that everything here can be run by a test's own clock.
package typealias Instant = ContinuousClock.Instant

/// What is known of one path that changed since it was last published.
package struct DirtyEntry: Sendable, Hashable {
  package enum Writing: Sendable, Hashable {
    /// Created, found, renamed or gone: no write was seen.
    case unknown
    /// Written, and not closed since `since`.
    case open(since: Instant)
    /// The last write was closed.
    case closed
  }

  package var writing: Writing
  /// When the oldest change that is not yet published happened; the recovery point is its age.
  package var firstChange: Instant
  package var lastChange: Instant
  /// The name came into being after the set was last taken, so nothing of this run lies under its key.
  package var isNew: Bool
  /// The name that the file had when it was last published: the object there is the last whole version that S3 has of it,
  /// and is kept until this path is published. Nil where that is this path, or nothing.
  package internal(set) var origin: RelativePath?
  /// Nothing was written since it left its origin.
  var isCopyOfOrigin = false
  /// The origin was in a pass's hands when the file left it, so it is yet to be seen whether it was published there.
  var isOriginInHand = false
  /// When the first version that is not yet published was whole: closed, found or renamed to here.
  package var wholeSince: Instant?
  /// It counts as open because a pass found a writer, not because a write was told of. Then its close may not be told
  /// either: events bear the name that the writer used, which is another one for links and for files that were made
  /// without a name. So whoever flushes looks again.
  package private(set) var isFoundOpen = false
  /// When a writer was last looked for since the file began to count as open.
  var probed: Instant?
  /// It is another name of a file that changed: events of its writer bear that name, or none at all when the name is gone
  /// or has no watch. So it is not done with before a pass finds no writer.
  package var isWrittenElsewhere = false
  /// A pass brought it back unpublished, so it is older than any instant here may tell.
  package internal(set) var wasTried = false
  /// Nothing is to be published here: the object is kept for a file that left the name and is yet to be published.
  package var isKeptForHeir = false
  /// The name is gone: nothing is left to be done but the delete of its object.
  package var isGone = false
  /// The name is not UTF-8, and the path only stands for it.
  package var isUndecodable = false
  /// It was met as one of several names of its file.
  var isLinked = false
  /// Nothing is known to have changed here; it is only to be looked at.
  var isRecheck = false

  package init(
    writing: Writing, firstChange: Instant, lastChange: Instant, isNew: Bool = false,
    renamedFrom: RelativePath? = nil
  ) {
    self.writing = writing
    self.firstChange = firstChange
    self.lastChange = lastChange
    self.isNew = isNew
    self.renamedFrom = renamedFrom
  }

  /// The name that this content was published under, when a rename alone made the path dirty. Without it, what was kept
  /// under the origin is kept still.
  package var renamedFrom: RelativePath? {
    get { isCopyOfOrigin ? origin : nil }
    set {
      isCopyOfOrigin = newValue != nil
      if let newValue { origin = newValue }
    }
  }

  /// Of a name that is not UTF-8.
  package static func undecodable(at now: Instant) -> DirtyEntry {
    var entry = DirtyEntry(writing: .unknown, firstChange: now, lastChange: now)
    entry.isUndecodable = true
    return entry
  }

  /// Notes that a pass found a writer; what the watch told of one stands.
  package mutating func noteFoundOpen(at now: Instant) {
    if case .open = writing { return }
    writing = .open(since: now)
    isFoundOpen = true
    probed = now
  }

  /// Notes that what lay there was published while a writer was at it.
  package mutating func noteSnapshot(at now: Instant) {
    writing = .open(since: now)
    isFoundOpen = true
    probed = now
    firstChange = now
    lastChange = now
    isNew = false
    origin = nil
    wholeSince = nil
  }

  /// Notes a write that the watch told of.
  mutating func noteWritten(at now: Instant) {
    isFoundOpen = false
    if case .open = writing { return }
    writing = .open(since: now)
    probed = nil
  }

  /// Notes that nobody has it open for writing, though no close was told: it is whole since its last change.
  mutating func noteWriterGone() {
    writing = .unknown
    isFoundOpen = false
    wholeSince = wholeSince ?? lastChange
  }

  /// Whether a version that was once whole is not published. Markers that came after it wait for it. A file that is still in
  /// its first writing holds nothing back, and neither does a name whose object is only to be deleted: its delete waits
  /// for the markers.
  package var holdsMarkers: Bool {
    if isKeptForHeir || isGone { return false }
    if case .open = writing { return wholeSince != nil }
    return true
  }

  /// Whether a marker that changed at this instant has to wait for this path.
  func holdsMarkers(changedAt instant: Instant) -> Bool {
    holdsMarkers && (wasTried || (wholeSince ?? firstChange) <= instant)
  }

  /// Joins what an abandoned publication brought back with what happened since.
  func merged(withLater later: DirtyEntry) -> DirtyEntry {
    var joined = later
    joined.firstChange = min(firstChange, later.firstChange)
    joined.isWrittenElsewhere = isWrittenElsewhere || later.isWrittenElsewhere
    joined.wholeSince = [wholeSince, later.wholeSince].compactMap { $0 }.min()
    joined.origin = later.origin ?? origin
    return joined
  }
}
