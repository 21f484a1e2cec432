import LocalTree
import MirrorModel

/// A walk that distinguishes directories in which nothing has a key from other directories.
struct MarkerWalk: WalkSource {
  private var base: any WalkSource
  private let filter: PathFilter
  /// A directory in which no entry that counts was found yet.
  private var pending: RelativePath?
  private var isOver = false

  init(_ base: any WalkSource, from start: RelativePath, filter: PathFilter) {
    self.base = base
    self.filter = filter
    // A walk does not return its starting directory. The root itself has no key.
    pending = start.isRoot ? nil : start
  }

  mutating func nextChunk(of count: Int) -> [WalkItem] {
    var items: [WalkItem] = []
    while items.isEmpty, !isOver {
      let chunk = base.nextChunk(of: count)
      isOver = chunk.isEmpty
      for item in chunk { take(item, into: &items) }
    }
    if isOver { settle(isEmpty: true, into: &items) }
    return items
  }

  private mutating func take(_ item: WalkItem, into items: inout [WalkItem]) {
    switch item {
    case .skipped: items.append(item)
    case .directory(let path), .emptyDirectory(let path):
      settle(isEmpty: !isBelow(path), into: &items)
      pending = path
    case .file(let path, _), .pointer(let path, _, _), .link(let path, _, _), .unreadable(let path, _):
      settle(isEmpty: !isBelow(path), into: &items)
      items.append(item)
    case .notUTF8(let directory, _):
      settle(isEmpty: !isBelow(directory), into: &items)
      items.append(item)
    }
  }

  private func isBelow(_ path: RelativePath) -> Bool { pending.map { path.isWithin($0) } ?? false }

  private mutating func settle(isEmpty: Bool, into items: inout [WalkItem]) {
    guard let directory = pending else { return }
    pending = nil
    let hasMarker = isEmpty && !filter.excludes(directory, .file)
    items.append(hasMarker ? .emptyDirectory(directory) : .directory(directory))
  }
}
