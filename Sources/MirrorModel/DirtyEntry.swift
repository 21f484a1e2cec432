/// What is known of one path that changed since it was last published.
package struct DirtyEntry: Sendable, Hashable {
  package var purpose: Purpose
  package var writer: Writer
  /// When the oldest unpublished change happened. The recovery point is the age of this change.
  package var firstChange: Instant
  package var lastChange: Instant
  /// When the first unpublished version was complete: closed, found, or renamed to this path.
  package var wholeSince: Instant?
  /// The name was created after the set was last taken, so this run has published nothing under its key.
  package var isNew: Bool
  /// The watch reported that this file has several names.
  var isLinked = false
  /// This is another name of a file that changed. The writer's events bear the other name; if the other name
  /// was deleted or has no watch, there are no events. So the entry stays until a pass finds no writer.
  package var isWrittenElsewhere = false
  /// The in-progress mark of this name has gone before a pass could publish it. It is published for as long as what it
  /// announced is being published (CLS-3).
  package internal(set) var isBriefMark = false
  /// A pass could not publish the path. The entry is older than its instants may show.
  package internal(set) var wasTried = false
  private var rare: RareFacets?

  package init(
    _ purpose: Purpose = .change, writer: Writer = .unknown, firstChange: Instant, lastChange: Instant,
    isNew: Bool = false
  ) {
    self.purpose = purpose
    self.writer = writer
    self.firstChange = firstChange
    self.lastChange = lastChange
    self.isNew = isNew
  }

  /// Creates the entry of a path of which nothing was known.
  package init(_ purpose: Purpose = .change, at now: Instant, isNew: Bool = false) {
    self.init(purpose, firstChange: now, lastChange: now, isNew: isNew)
  }

  /// Creates the entry of a file that differs in a comparison.
  ///
  /// - Parameter reason: why a part of the tree was compared; nil for a comparison of everything.
  package init(foundBecauseOf reason: RescanReason?, at now: Instant, isNew: Bool = false) {
    self.init(at: now, isNew: isNew)
    // Lost events may include the close of a version that a marker names.
    if let reason, !reason.isStanding { wholeSince = now }
  }

  /// Nil if the file was last published under this path, or never published.
  package internal(set) var origin: Origin? {
    get { rare?.origin }
    set { rare = RareFacets.replacing(rare) { $0.origin = newValue } }
  }

  /// The directory whose unit includes this publication, if the publication has outlived its pass. No other
  /// pass publishes data below that directory.
  package internal(set) var unit: RelativePath? {
    get { rare?.unit }
    set { rare = RareFacets.replacing(rare) { $0.unit = newValue } }
  }

  /// The file to which the name leads, if the name is a pointer. Found when a pass takes the entry.
  package var pointsTo: RelativePath? {
    get { rare?.pointsTo }
    set { rare = RareFacets.replacing(rare) { $0.pointsTo = newValue } }
  }

  /// Set if a comparison found the file open, and no event had told of it before.
  package var unwatched: UnwatchedTime? {
    get { rare?.unwatched }
    set { rare = RareFacets.replacing(rare) { $0.unwatched = newValue } }
  }

  package var isOpen: Bool { if case .open = writer { true } else { false } }

  package var isGone: Bool { if case .delete = purpose { true } else { false } }

  /// The name under which this content was published, if only a rename made the path dirty. If the content
  /// changed since, this is nil, and the object under the origin is still kept.
  package var renamedFrom: RelativePath? {
    guard let origin, origin.isUnchanged else { return nil }
    return origin.path
  }

  /// Records that this content is published under another name and can be copied from there.
  package mutating func noteCopy(of path: RelativePath) { origin = Origin(path, isUnchanged: true) }

  /// Records that a pass found a writer. If the watch had already reported one, that report stays.
  package mutating func noteFoundOpen(at now: Instant) {
    if !isOpen { writer = .found(at: now) }
  }

  /// Records that the current content was published as a snapshot while a process had the file open for
  /// writing.
  package mutating func noteSnapshot(at now: Instant) {
    writer = .found(at: now)
    firstChange = now
    lastChange = now
    isNew = false
    origin = nil
    wholeSince = nil
    unwatched = nil
  }

  /// Records that no process has the file open for writing although no close was reported. The file is
  /// complete since its last change.
  mutating func noteWriterGone() {
    writer = .unknown
    wholeSince = wholeSince ?? lastChange
  }

  /// Forgets the file that had the name, because the next file with this name is another one.
  mutating func forgetFile() {
    writer = .unknown
    origin = nil
    wholeSince = nil
    unwatched = nil
    isBriefMark = false
  }

  /// Whether a complete version is unpublished. Markers that changed later wait for such a path. A file that
  /// is still being written for the first time holds no marker back. Neither does a name whose object only
  /// has to be deleted: deletes wait for markers. A mark that came and went announces what is unpublished.
  package var holdsMarkers: Bool {
    switch purpose {
    case .delete: isBriefMark
    case .keepForHeir: false
    case .change, .recheck, .undecodable: !isOpen || wholeSince != nil
    }
  }

  /// Whether a marker that changed at this instant has to wait for this path.
  package func holdsMarkers(changedAt instant: Instant) -> Bool {
    holdsMarkers && (wasTried || (wholeSince ?? firstChange) <= instant)
  }

  /// Joins an entry that an abandoned publication returned with later changes of the same path.
  func merged(withLater later: DirtyEntry) -> DirtyEntry {
    var joined = later
    joined.firstChange = min(firstChange, later.firstChange)
    joined.isWrittenElsewhere = isWrittenElsewhere || later.isWrittenElsewhere
    joined.wholeSince = [wholeSince, later.wholeSince].compactMap { $0 }.min()
    joined.unwatched = later.unwatched ?? unwatched
    // A later change may have changed the content.
    joined.origin = later.origin ?? origin.map { Origin($0.path, isUnchanged: false) }
    return joined
  }
}
