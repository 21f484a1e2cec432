import MirrorModel

/// Finds objects whose name is also the directory of other objects (`a` and `a/b`), in a stream of entries in
/// key order.
///
/// A file and a directory of one name cannot both exist here, and neither may be deleted for the other. Other
/// keys may come between `a` and `a/b`, such as `a-b`. So a file is held back until the stream has passed the
/// place of keys below it. Only names that are prefixes of each other are held, so they are few.
struct NameConflicts {
  enum Verdict: Sendable {
    case file(RemoteEntry)
    case marker(RelativePath)
    /// S3 has both this object and objects below it.
    case conflict(RelativePath)
  }

  private var pending: [RemoteEntry] = []

  /// The verdicts that the next entry makes possible: for files that can have no conflict any more, and for
  /// the entry itself if it is a marker.
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

  /// The verdicts for files that are still held back at the end of the stream.
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
