import MirrorModel
import SystemPackage

/// What a walk meets, in the order of keys.
package enum WalkItem: Sendable, Hashable {
  case file(RelativePath, FileStamp)
  /// Comes before what is in it.
  case directory(RelativePath)
  /// A directory in which nothing has a key, where that matters. A walk itself does not tell these from others.
  case emptyDirectory(RelativePath)
  /// A symbolic link that is not followed, leads nowhere or back to a directory above it; a socket, FIFO or device.
  case skipped(RelativePath, EntryKind)
  /// A directory that could not be read, or an entry that could not be seen. What lies at and below it is unknown:
  /// nothing there may be taken for deleted.
  case unreadable(RelativePath, TreeError)
  /// A name that cannot be a key. If it is a directory, what is in it is not walked.
  case notUTF8(directory: RelativePath, name: [UInt8])
}

/// All entries below a directory, one at a time, in the byte order of their keys: S3's listing order, so that the two
/// can be merged as streams.
///
/// It holds one directory's names a level, and one descriptor a level. What vanishes while it runs is absent from it,
/// in silence; what cannot be read is reported, and the walk goes on. A start that is no directory has nothing below it.
///
/// A copy goes on by itself from where it was made.
package struct TreeWalk: IteratorProtocol, Sequence, Sendable {
  /// Told of each link that is followed: what it leads to, or nil when that is nothing or a directory above it.
  package typealias LinkObserver = @Sendable (RelativePath, TreeRoot.Entry?) -> Void

  private struct Level: Sendable {
    let listing: DirectoryListing
    /// Known only where links are followed: what a link must not lead back to.
    let identity: TreeRoot.Identity?
    let path: RelativePath
    /// How many bytes of `pathBytes` are the directory's own.
    let pathLength: Int
    var position = 0
  }

  private enum Step {
    case enterStart
    case enter(RelativePath, DirectoryListing, DirectoryListing.Entry)
    case advance
  }

  private let root: TreeRoot
  private let start: RelativePath
  private let filter: PathFilter
  private let symlinks: SymlinkPolicy
  private let onLink: LinkObserver?
  /// The directories above the start, where links are followed.
  private var above: [TreeRoot.Identity] = []
  private var levels: [Level] = []
  private var step = Step.enterStart
  /// The path of the entry at hand, grown and cut in place.
  private var pathBytes: [UInt8] = []

  package init(
    root: TreeRoot, start: RelativePath = .root, filter: PathFilter = .everything,
    symlinks: SymlinkPolicy = .skip, onLink: LinkObserver? = nil
  ) {
    self.onLink = onLink
    self.root = root
    self.start = start
    self.filter = filter
    self.symlinks = symlinks
  }

  package mutating func next() -> WalkItem? {
    while true {
      let item: WalkItem?
      switch step {
      case .enterStart:
        step = .advance
        if !start.isRoot && filter.excludes(start, .directory) { return nil }
        pathBytes = Array(start.string.utf8)
        noteAbove()
        item = enter(start) { [root, start, symlinks] () throws(Errno) in
          try Self.openStart(start, root, symlinks)
        }
      case .enter(let path, let listing, let entry):
        step = .advance
        item = enter(path) { () throws(Errno) in try listing.openDirectory(entry) }
      case .advance:
        guard let level = levels.indices.last else { return nil }
        let listing = levels[level].listing
        let position = levels[level].position
        if position == listing.entries.count {
          levels.removeLast()
          continue
        }
        levels[level].position += 1
        item = visit(listing.entries[position], of: levels[level])
      }
      if let item { return item }
    }
  }

  private static func openStart(
    _ start: RelativePath, _ root: TreeRoot, _ symlinks: SymlinkPolicy
  ) throws(Errno) -> OpenDescriptor? {
    do {
      return try root.openDirectory(start, symlinks: symlinks)
    } catch .noSuchFileOrDirectory, .notDirectory {
      return nil
    }
  }

  /// A link below the start must not lead back to what lies above it either.
  private mutating func noteAbove() {
    guard symlinks == .follow, !start.isRoot else { return }
    for directory in start.ancestors {
      // What cannot be looked at has no start in it, which the walk will say.
      guard
        case .success(let entry?) = Result(catching: { () throws(TreeError) in try root.look(at: directory) })
      else { continue }
      above.append(TreeRoot.Identity(entry.stamp))
    }
  }

  /// Reads a directory whose path `pathBytes` holds, unless `open` finds it gone.
  private mutating func enter(
    _ path: RelativePath, _ open: () throws(Errno) -> OpenDescriptor?
  ) -> WalkItem? {
    do {
      guard let descriptor = try open() else { return nil }
      var identity: TreeRoot.Identity?
      if symlinks == .follow { identity = TreeRoot.Identity(try descriptor.status().stamp) }
      if levels.isEmpty, let identity, above.contains(identity) { return nil }
      let listing = try DirectoryListing(descriptor, symlinks: symlinks)
      levels.append(Level(listing: listing, identity: identity, path: path, pathLength: pathBytes.count))
      return nil
    } catch {
      // Only at the start: it has become a link, or a directory above it has.
      if error == .tooManySymbolicLinkLevels, symlinks == .skip { return .skipped(path, .symbolicLink) }
      return .unreadable(path, root.failure(.list, path, error))
    }
  }

  /// What the entry is to the consumer; nil when it is excluded or gone.
  private mutating func visit(_ entry: DirectoryListing.Entry, of level: Level) -> WalkItem? {
    let name = level.listing.name(of: entry)
    pathBytes.removeSubrange(level.pathLength...)
    if !pathBytes.isEmpty { pathBytes.append(UInt8(ascii: "/")) }
    pathBytes.append(contentsOf: name)
    guard let path = RelativePath(utf8: pathBytes) else {
      let text = level.path.appending(RelativePath.escaping(name).string)
      return filter.excludes(text, entry.kind, belowKept: level.path)
        ? nil : .notUTF8(directory: level.path, name: Array(name))
    }
    if filter.excludes(path, entry.kind, belowKept: level.path) { return nil }
    switch entry.kind {
    case .symbolicLink, .special:
      if symlinks == .follow, entry.kind == .symbolicLink { onLink?(path, nil) }
      return .skipped(path, entry.kind)
    case .directory where !entry.isFollowed: break
    case .directory, .file:
      do {
        guard let now = try level.listing.status(of: entry) else { return nil }
        if now.kind == .file && entry.kind == .file {
          if entry.isFollowed { onLink?(path, now) }
          return .file(path, now.stamp)
        }
        // Between the listing and now a file became something else. A link or device is told as such; a directory
        // would stand in the wrong place of the order and is new: its own events tell of it.
        if now.kind != .directory { return now.kind == .file ? nil : .skipped(path, now.kind) }
        if entry.kind == .file { return nil }
        let identity = TreeRoot.Identity(now.stamp)
        if levels.contains(where: { $0.identity == identity }) || above.contains(identity) {
          onLink?(path, nil)
          return .skipped(path, .symbolicLink)
        }
        onLink?(path, now)
      } catch {
        return .unreadable(path, root.failure(.look, path, error))
      }
    }
    step = .enter(path, level.listing, entry)
    return .directory(path)
  }
}
