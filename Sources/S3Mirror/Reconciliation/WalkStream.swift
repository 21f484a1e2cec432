import LocalTree
import MirrorModel

/// Walks a tree away from the caller's task, a chunk of entries at a time.
private actor TreeWalker {
  private var walk: TreeWalk

  init(_ walk: TreeWalk) {
    self.walk = walk
  }

  /// The next entries, none at the end.
  func nextChunk(of count: Int) -> [WalkItem] {
    var items: [WalkItem] = []
    items.reserveCapacity(count)
    while items.count < count, let item = walk.next() { items.append(item) }
    return items
  }
}

/// The files of a tree in key order; what is no file is noted in the survey in passing.
struct WalkStream {
  struct File: Sendable {
    var path: RelativePath
    var stamp: FileStamp
  }

  /// Entries read at one go: a hop between tasks costs about as much as reading ten of them.
  private static let chunkSize = 1024

  private let walker: TreeWalker
  private var chunk: [WalkItem] = []
  private var position = 0

  init(root: TreeRoot, start: RelativePath, filter: PathFilter, symlinks: SymlinkPolicy) {
    walker = TreeWalker(TreeWalk(root: root, start: start, filter: filter, symlinks: symlinks))
  }

  mutating func nextFile(noting survey: inout Survey) async -> File? {
    while true {
      if position == chunk.count {
        chunk = await walker.nextChunk(of: Self.chunkSize)
        position = 0
        if chunk.isEmpty { return nil }
      }
      let item = chunk[position]
      position += 1
      switch item {
      case .file(let path, let stamp): return File(path: path, stamp: stamp)
      case .directory: continue
      case .skipped: survey.skipped += 1
      case .unreadable(let path, let error): survey.unreadable[path] = String(describing: error)
      case .notUTF8(let directory, let name):
        survey.undecodable.append("\(directory)/\(String(decoding: name, as: UTF8.self))")
      }
    }
  }
}
