import LocalTree
import MirrorModel

/// The source of a comparison's local side.
protocol WalkSource: Sendable {
  /// The next entries in key order; empty at the end.
  mutating func nextChunk(of count: Int) -> [WalkItem]
}

extension TreeWalk: WalkSource {
  mutating func nextChunk(of count: Int) -> [WalkItem] {
    var items: [WalkItem] = []
    items.reserveCapacity(count)
    while items.count < count, let item = next() { items.append(item) }
    return items
  }
}

/// A tree without entries, if there is no local side.
struct EmptyWalk: WalkSource {
  mutating func nextChunk(of count: Int) -> [WalkItem] { [] }
}

/// One file of a tree.
struct FileWalk: WalkSource {
  let root: TreeRoot
  let path: RelativePath
  let symlinks: SymlinkPolicy
  private let onLink: TreeWalk.LinkObserver?
  private var isOver = false

  init(
    root: TreeRoot, path: RelativePath, symlinks: SymlinkPolicy,
    onLink: TreeWalk.LinkObserver? = nil
  ) {
    self.onLink = onLink
    self.root = root
    self.path = path
    self.symlinks = symlinks
  }

  mutating func nextChunk(of count: Int) -> [WalkItem] {
    if isOver { return [] }
    isOver = true
    do throws(TreeError) {
      guard let entry = try root.look(at: path, symlinks: symlinks) else { return [] }
      if let onLink, try root.look(at: path, symlinks: .skip)?.kind == .symbolicLink {
        onLink(path, entry.kind == .symbolicLink ? nil : entry)
      }
      switch entry.kind {
      case .file:
        return [entry.pointer.map { .pointer(path, entry.stamp, $0) } ?? .file(path, entry.stamp)]
      case .directory: return [.directory(path)]
      case .symbolicLink, .special: return [.skipped(path, entry.kind)]
      }
    } catch {
      return [.unreadable(path, error)]
    }
  }
}

/// Walks the tree in a task beside the comparison, one chunk of entries at a time: a switch between tasks
/// costs about as much as reading ten entries.
struct WalkStream: Sendable {
  /// Entries in one chunk, about 150 bytes each.
  private static let chunkSize = 1_024

  /// Chunks that are read ahead of the comparison, about 1 MB.
  static let chunksAhead = 8
  /// The same while a listing is read ahead, about 5 MB: it is read from names that the walk has found.
  static let chunksAheadOfSlowServer = 32

  let source: any WalkSource
  let waypoints: Waypoints

  func walk(into relay: Relay<[WalkItem]>) async {
    await walk(source, into: relay)
  }

  private func walk(_ source: some WalkSource, into relay: Relay<[WalkItem]>) async {
    var source = source
    while !Task.isCancelled {
      let chunk = source.nextChunk(of: Self.chunkSize)
      if chunk.isEmpty {
        relay.finish(.success(()))
        return
      }
      waypoints.pass(chunk)
      guard await relay.send(chunk) else { break }
    }
    // If the walk is cut short, the tree must not seem to end here.
    relay.finish(.failure(CancellationError()))
  }
}
