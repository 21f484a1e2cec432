extension DirtyEntry {
  /// What is known of the processes that write to the file.
  package enum Writer: Sendable, Hashable {
    /// No write was reported: the file was created, found, renamed or deleted.
    case unknown
    /// Written, and not closed since `since`.
    case open(since: Instant, Evidence)
    /// The last write was closed.
    case closed

    /// Why a file counts as open, and when the last check for a writer took place.
    package enum Evidence: Sendable, Hashable {
      /// The watch reported a write, so it will report that writer's close too.
      case reported(probed: Instant?)
      /// A pass found a writer. The watch may report no close under this name, because an event bears the
      /// name that the writer used. That name differs for links and for files that were created without a
      /// name (O_TMPFILE). So the check is repeated.
      case found(probed: Instant)
    }

    /// The state of a file that a pass found open.
    static func found(at now: Instant) -> Writer { .open(since: now, .found(probed: now)) }

    /// The same state for another name of the file. No check for a writer has taken place under that name.
    package var underAnotherName: Writer {
      if case .open(let since, _) = self { .open(since: since, .reported(probed: nil)) } else { self }
    }

    /// Records a check for a writer.
    mutating func noteProbe(at now: Instant) {
      switch self {
      case .unknown, .closed: break
      case .open(let since, .reported): self = .open(since: since, .reported(probed: now))
      case .open(let since, .found): self = .open(since: since, .found(probed: now))
      }
    }

    /// Records a write that the watch reported.
    mutating func noteWrite(at now: Instant) {
      switch self {
      case .unknown, .closed: self = .open(since: now, .reported(probed: nil))
      case .open(_, .reported): break
      case .open(let since, .found(let probed)): self = .open(since: since, .reported(probed: probed))
      }
    }
  }

  /// The name under which a renamed file was last published. The object there is the last complete version of
  /// the file on S3. It is kept until the new name is published.
  package struct Origin: Sendable, Hashable {
    package var path: RelativePath
    /// Nothing was written since the file left the name, so the object can be copied.
    package var isUnchanged: Bool
    /// A pass was publishing the old name when the file left it. Whether the file was published there is
    /// known only when that pass ends.
    var isInHand = false

    package init(_ path: RelativePath, isUnchanged: Bool) {
      self.path = path
      self.isUnchanged = isUnchanged
    }
  }

  /// The facets that few entries have. An entry is copied some thirty times on the way from an event to an object, so
  /// they are kept apart.
  final class RareFacets: Sendable, Hashable {
    struct Values: Sendable, Hashable {
      var origin: Origin?
      var unit: RelativePath?
      var pointsTo: RelativePath?
      var unwatched: UnwatchedTime?
    }

    private let values: Values

    private init(_ values: Values) { self.values = values }

    var origin: Origin? { values.origin }
    var unit: RelativePath? { values.unit }
    var pointsTo: RelativePath? { values.pointsTo }
    var unwatched: UnwatchedTime? { values.unwatched }

    /// Nil if no facet remains.
    static func replacing(_ facets: RareFacets?, _ change: (inout Values) -> Void) -> RareFacets? {
      let known = facets?.values ?? Values()
      var changed = known
      change(&changed)
      if changed == known { return facets }
      return changed == Values() ? nil : RareFacets(changed)
    }

    static func == (left: RareFacets, right: RareFacets) -> Bool {
      left === right || left.values == right.values
    }

    func hash(into hasher: inout Hasher) { hasher.combine(values) }
  }

  /// What has to be done with the path.
  package enum Purpose: Sendable, Hashable {
    /// The path changed: publish its file.
    case change
    /// Nothing is known to have changed here; it is only looked at.
    case recheck
    /// The name is gone: delete its object.
    case delete(Ground)
    /// Publish nothing. Keep the object for a renamed file that is not yet published under its new name.
    case keepForHeir
    /// The name is not UTF-8, and the path only represents it: report that the file cannot be published.
    case undecodable

    /// Why a name counts as deleted.
    package enum Ground: Sendable, Hashable {
      /// An event reported it, or a file that had changed no longer existed.
      case change
      /// A recheck found no file. A late event may still report a rename of that file, which has not changed
      /// as far as is known.
      case recheck
    }

    /// Whether no change is known other than what a recheck found.
    var isRecheck: Bool { self == .recheck || self == .delete(.recheck) }

    /// Notes that no file has the name.
    mutating func noteAbsence() {
      switch self {
      case .change, .keepForHeir: self = .delete(.change)
      case .recheck: self = .delete(.recheck)
      // An undecodable path is no file's name. The next check finds out whether the file that it represents
      // still exists.
      case .delete, .undecodable: break
      }
    }
  }
}
