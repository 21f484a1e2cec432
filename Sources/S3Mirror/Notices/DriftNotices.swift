import LocalTree
import MirrorModel

/// A name that is not published because it is no regular file.
struct SkippedName: Sendable, Hashable {
  var path: RelativePath
  var kind: EntryKind
}

// Differences that no event had reported. Only a change that the watch missed is a fault of this program.
extension ConditionNotices {
  /// Which comparison found the difference, and so when the difference is corrected.
  enum DriftFinder {
    case audit
    case exit
  }

  /// The text before and after the paths of a change that the watch missed. The soak searches notices for
  /// this text.
  static let missedChange = (before: "no event had reported it (", after: "); this is corrected")

  func sayDrift(
    _ paths: [RelativePath], foundBy finder: DriftFinder, in root: TreeRoot, ledger: PublishedLedger
  ) {
    let causes = Dictionary(grouping: paths) { path in
      DriftCause(
        known: ledger.stamp(of: path), found: root.stamp(ofFileAt: path), device: root.device(above: path),
        start: start)
    }
    for cause in DriftCause.allCases {
      if let paths = causes[cause] { journal.notice("\(name): \(finder.sentence(of: paths, cause))") }
    }
  }
}

/// The first three paths.
func named(_ paths: [RelativePath]) -> String {
  paths.prefix(3).map(\.string).joined(separator: ", ") + (paths.count > 3 ? ", …" : "")
}

extension ConditionNotices.DriftFinder {
  fileprivate func sentence(of paths: [RelativePath], _ cause: DriftCause) -> String {
    let some = named(paths)
    let (who, when) =
      switch self {
      case .audit: ("an audit", "with the next pass")
      case .exit: ("the exit's comparison", "now")
      }
    let count = "\(paths.count) \(paths.count == 1 ? "path" : "paths")"
    let why =
      switch cause {
      case .missedEvent:
        "though \(ConditionNotices.missedChange.before)\(some)\(ConditionNotices.missedChange.after) \(when). Please report it"
      case .furtherName:
        "because they were written under other names of the same files, hard links without a watch (\(some)); this is corrected \(when). "
          + "Keep all names of a file below the root, or let audits find this (--audit-interval)"
      case .otherMount:
        "because another filesystem is mounted there (\(some)); this is corrected \(when). Start the mirror when everything is mounted"
      case .unchangedHere:
        "though nothing changed here (\(some)); this is corrected \(when). Another writer changed or deleted the objects, or a "
          + "mount came or went: keep other writers out of the prefix"
      }
    return "\(who) found \(count) that differ from S3 \(why)"
  }
}

extension TreeRoot {
  /// The filesystem of the nearest existing directory above a path.
  fileprivate func device(above path: RelativePath) -> UInt64? {
    for directory in path.ancestors {
      if case .success(let entry?) = Result(catching: { try look(at: directory) }) {
        return entry.stamp.device
      }
    }
    return nil
  }
}
