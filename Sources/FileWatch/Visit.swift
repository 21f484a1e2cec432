import MirrorModel

/// How the files below a directory are given out when it is visited.
package enum Visit: Sendable, Hashable {
  /// It lay there when the watch began: not at all, its files are reconciled.
  case initial
  /// It is new: as found, unless they were given out already since it is watched.
  case appeared
  /// It was met under a name that no record has told of yet: as found, at every depth.
  case surfaced
  /// It was renamed: as renamed.
  case renamed(from: RelativePath)
  /// It was renamed, and what lay below it may have been missed: as renamed, then as found.
  case renamedUnseen(from: RelativePath)
  /// Events were lost, and all is compared anyhow: as found where there was no watch before.
  case recovered
}

extension Visit {
  var announcesDirectory: Bool {
    switch self {
    case .appeared, .surfaced, .renamedUnseen: true
    case .initial, .renamed, .recovered: false
    }
  }

  /// Where the directory was before.
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
