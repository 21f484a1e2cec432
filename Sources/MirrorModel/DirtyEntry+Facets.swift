extension DirtyEntry {
  /// What is known of a process that writes to the file.
  package enum Writer: Sendable, Hashable {
    /// Created, found, renamed or gone: no write was seen.
    case unknown
    /// Written, and not closed since `since`.
    case open(since: Instant, Evidence)
    /// The last write was closed.
    case closed

    /// Why a file counts as open, and when a writer was last looked for.
    package enum Evidence: Sendable, Hashable {
      /// The watch reported a write, so it reports that writer's close too.
      case reported(probed: Instant?)
      /// A pass found a writer. The watch may report no close under this name: events bear the name that the writer used, which is
      /// another one for links and for files that were made without a name. So the writer is looked for again and again.
      case found(probed: Instant)
    }

    /// A file that a pass found open.
    static func found(at now: Instant) -> Writer { .open(since: now, .found(probed: now)) }

    /// What it says of another name of the file: no writer was looked for under that name.
    package var underAnotherName: Writer {
      if case .open(let since, _) = self { .open(since: since, .reported(probed: nil)) } else { self }
    }

    /// Notes that a writer was looked for.
    mutating func noteProbe(at now: Instant) {
      switch self {
      case .unknown, .closed: break
      case .open(let since, .reported): self = .open(since: since, .reported(probed: now))
      case .open(let since, .found): self = .open(since: since, .found(probed: now))
      }
    }

    /// Notes a write that the watch reported.
    mutating func noteWrite(at now: Instant) {
      switch self {
      case .unknown, .closed: self = .open(since: now, .reported(probed: nil))
      case .open(_, .reported): break
      case .open(let since, .found(let probed)): self = .open(since: since, .reported(probed: probed))
      }
    }
  }

  /// The name that a renamed file had when it was last published. The object there is the last whole version that S3 has of the file,
  /// and is kept until the new name is published.
  package struct Origin: Sendable, Hashable {
    package var path: RelativePath
    /// Nothing was written since the file left the name, so its object can be copied.
    package var isUnchanged: Bool
    /// A pass had the name in hand when the file left it, so it is yet to be seen whether the file was published there.
    var isInHand = false

    package init(_ path: RelativePath, isUnchanged: Bool) {
      self.path = path
      self.isUnchanged = isUnchanged
    }
  }

  /// What is to be done with the path.
  package enum Purpose: Sendable, Hashable {
    /// It changed: its file is published.
    case change
    /// Nothing is known to have changed here; it is only looked at.
    case recheck
    /// The name is gone: nothing is left to be done but the delete of its object.
    case delete(Ground)
    /// Nothing is published: the object is kept for a file that left the name and is yet to be published.
    case keepForHeir
    /// The name is not UTF-8, and the path only stands for it: its refusal is reported.
    case undecodable

    /// Why a name counts as gone.
    package enum Ground: Sendable, Hashable {
      /// An event reported it, or a file that had changed was not there any more.
      case change
      /// A recheck found nothing. An event that is late may still report a rename of the file, which is unchanged as far as is known.
      case recheck
    }

    /// Whether nothing is known to have changed, but for what a look has shown.
    var isRecheck: Bool { self == .recheck || self == .delete(.recheck) }

    /// Notes that no file has the name.
    mutating func noteAbsence() {
      switch self {
      case .change, .keepForHeir: self = .delete(.change)
      case .recheck: self = .delete(.recheck)
      // The path is no name of a file. Whether one is there that it stands for is seen at the next look.
      case .delete, .undecodable: break
      }
    }
  }
}
