import MirrorModel

/// How the files below a directory are reported when the directory is visited.
package enum Visit: Sendable, Hashable {
  /// The directory existed when the watch began: its files are not reported, because reconciliation compares
  /// them.
  case initial
  /// The directory is new: its files are reported as found, unless they were already reported since the watch
  /// was set.
  case appeared
  /// The directory was found under a name that no record has reported yet: its files are reported as found,
  /// at every depth.
  case surfaced
  /// The directory was renamed: its files are reported as renamed.
  case renamed(from: RelativePath)
  /// The directory was renamed, and its content may have been missed: its files are reported as renamed, and
  /// then as found.
  case renamedUnseen(from: RelativePath)
  /// Events were lost, and everything is compared. Files are reported as found only where there was no watch
  /// before.
  case recovered
}

extension Visit {
  var announcesDirectory: Bool {
    switch self {
    case .appeared, .surfaced, .renamedUnseen: true
    case .initial, .renamed, .recovered: false
    }
  }

  /// The directory's former path.
  var old: RelativePath? {
    switch self {
    case .renamed(let old), .renamedUnseen(let old): old
    case .initial, .appeared, .surfaced, .recovered: nil
    }
  }

  func below(_ name: RelativePath) -> Visit {
    switch self {
    case .renamed(let old): .renamed(from: old.appending(name.string))
    case .renamedUnseen(let old): .renamedUnseen(from: old.appending(name.string))
    case .initial, .appeared, .surfaced, .recovered: self
    }
  }
}
