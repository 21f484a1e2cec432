import MirrorModel

/// Finds objects whose name is also a directory of others (`a` and `a/b`) in a stream of entries in key order.
///
/// A file and a directory of one name cannot both lie here, and neither is chosen by deleting the other. Between `a` and
/// `a/b` other keys may come (`a-b`), so a file is kept back until the stream has passed the place where a key below it would
/// stand. What is kept are names that begin with each other: a handful.
struct NameConflicts {
  enum Verdict: Sendable {
    case file(RemoteEntry)
    case marker(RelativePath)
    /// S3 has both this object and objects below it.
    case conflict(RelativePath)
  }

  private var pending: [RemoteEntry] = []

  /// What the next entry decides: files that are free of conflict now, and the entry itself if it is a marker.
  mutating func pass(_ entry: RemoteEntry) -> [Verdict] {
    var verdicts: [Verdict] = []
    while let last = pending.last {
      switch Self.place(of: entry.path, around: last.path) {
      case .mayComeBelow: break
      case .below:
        verdicts.append(.conflict(last.path))
        pending.removeLast()
        continue
      case .past:
        verdicts.append(.file(last))
        pending.removeLast()
        continue
      }
      break
    }
    if let marker = DirectoryMarker(entry.path) {
      verdicts.append(.marker(marker.directory))
    } else {
      pending.append(entry)
    }
    return verdicts
  }

  /// What is kept back at the end of the stream.
  mutating func finish() -> [Verdict] {
    defer { pending = [] }
    return pending.map { .file($0) }
  }

  private enum Place {
    /// Keys below the file may still follow.
    case mayComeBelow
    case below
    case past
  }

  private static func place(of path: RelativePath, around file: RelativePath) -> Place {
    let bytes = path.string.utf8
    guard bytes.starts(with: file.string.utf8) else { return .past }
    guard let next = bytes.dropFirst(file.string.utf8.count).first else { return .past }
    if next == UInt8(ascii: "/") { return .below }
    return next < UInt8(ascii: "/") ? .mayComeBelow : .past
  }
}
