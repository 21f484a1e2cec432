/// Instants are passed in, so that everything here can be run by a test's own clock.
package typealias Instant = ContinuousClock.Instant

/// What is known of one path that changed since it was last published.
package struct DirtyEntry: Sendable, Hashable {
  package var purpose: Purpose
  package var writer: Writer
  /// When the oldest change that is not yet published happened; the recovery point is its age.
  package var firstChange: Instant
  package var lastChange: Instant
  /// When the first version that is not yet published was whole: closed, found or renamed to here.
  package var wholeSince: Instant?
  /// Nil where the file was last published under this path, or never.
  package internal(set) var origin: Origin?

  /// The name came into being after the set was last taken, so nothing of this run lies under its key.
  package var isNew: Bool
  /// It was met as one of several names of its file.
  var isLinked = false
  /// It is another name of a file that changed: events of its writer bear that name, or none at all when the name is gone
  /// or has no watch. So it is not done with before a pass finds no writer.
  package var isWrittenElsewhere = false
  /// The directory in whose burst the publication goes, where it has outlived its pass: no other pass publishes data below it.
  package internal(set) var unit: RelativePath?
  /// A pass brought it back unpublished, so it is older than any instant here may tell.
  package internal(set) var wasTried = false

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

  /// Of a path of which nothing was known before.
  package init(_ purpose: Purpose = .change, at now: Instant, isNew: Bool = false) {
    self.init(purpose, firstChange: now, lastChange: now, isNew: isNew)
  }

  /// Of a file that a comparison finds to differ.
  ///
  /// - Parameter reason: why a part of the tree was compared; nil for a comparison of everything.
  package init(foundBecauseOf reason: RescanReason?, at now: Instant, isNew: Bool = false) {
    self.init(at: now, isNew: isNew)
    // The events that were lost may have reported the close of a version, and a marker may name it.
    if let reason, !reason.isStanding { wholeSince = now }
  }

  package var isOpen: Bool { if case .open = writer { true } else { false } }

  package var isGone: Bool { if case .delete = purpose { true } else { false } }

  /// The name that this content was published under, when a rename alone made the path dirty. Without it, what was kept
  /// under the origin is kept still.
  package var renamedFrom: RelativePath? {
    guard let origin, origin.isUnchanged else { return nil }
    return origin.path
  }

  /// Notes that this content is published under another name, and can be copied from there.
  package mutating func noteCopy(of path: RelativePath) { origin = Origin(path, isUnchanged: true) }

  /// Notes that a pass found a writer; what the watch reported of one stands.
  package mutating func noteFoundOpen(at now: Instant) {
    if !isOpen { writer = .found(at: now) }
  }

  /// Notes that what lay there was published while a writer was at it.
  package mutating func noteSnapshot(at now: Instant) {
    writer = .found(at: now)
    firstChange = now
    lastChange = now
    isNew = false
    origin = nil
    wholeSince = nil
  }

  /// Notes that nobody has it open for writing, though no close was reported: it is whole since its last change.
  mutating func noteWriterGone() {
    writer = .unknown
    wholeSince = wholeSince ?? lastChange
  }

  /// Forgets the file that had the name. Whatever was known of it is not known of the next one.
  mutating func forgetFile() {
    writer = .unknown
    origin = nil
    wholeSince = nil
  }

  /// Whether a version that was once whole is not published. Markers that came after it wait for it. A file that is still in
  /// its first writing holds nothing back, and neither does a name whose object is only to be deleted: its delete waits
  /// for the markers.
  package var holdsMarkers: Bool {
    switch purpose {
    case .delete, .keepForHeir: false
    case .change, .recheck, .undecodable: !isOpen || wholeSince != nil
    }
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
    // What happened since may have changed the file.
    joined.origin = later.origin ?? origin.map { Origin($0.path, isUnchanged: false) }
    return joined
  }
}
