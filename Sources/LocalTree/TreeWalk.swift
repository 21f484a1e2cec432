import Glibc
import MirrorModel
import SystemPackage

/// An item of a walk, in the order of keys.
///
/// The rare cases are indirect, because each file's item is copied several times.
package enum WalkItem: Sendable, Hashable {
  case file(RelativePath, FileStamp)
  /// A link to a file inside of the root, with that file's stamp.
  indirect case pointer(RelativePath, FileStamp, Pointer)
  /// A link that is an entry of its own, with its own stamp, and the path inside of the root to which it
  /// leads.
  indirect case link(RelativePath, FileStamp, target: RelativePath?)
  /// Comes before the directory's content.
  case directory(RelativePath)
  /// A directory in which no entry has a key. The walk itself does not report this item.
  case emptyDirectory(RelativePath)
  /// A symbolic link that is not followed, has no target, or leads back to a directory above it; a socket,
  /// FIFO or device.
  case skipped(RelativePath, EntryKind)
  /// A directory that could not be read, or an entry whose stat failed. Everything at and below it is unknown
  /// and may not count as deleted.
  case unreadable(RelativePath, TreeError)
  /// A name that cannot be a key. The content of such a directory is not walked.
  case notUTF8(directory: RelativePath, name: [UInt8])
}

/// All entries below a directory, one at a time, in the byte order of their keys. This is the order of S3's
/// listings, so both can be merged as streams.
///
/// The walk holds the names of one directory and one descriptor for each level. An entry that vanishes during
/// the walk is silently left out. An entry that cannot be read is reported, and the walk continues. A start
/// that is no directory has no content.
///
/// A copy of a walk continues independently from where it was made.
package struct TreeWalk: IteratorProtocol, Sequence, Sendable {
  /// Called for each followed link with its target, or with nil if there is no target or the target is a
  /// directory above the link. Called for each link with `SymlinkPolicy.pointer` too, and then with nil if
  /// the link leads to no file inside of the root.
  package typealias LinkObserver = @Sendable (RelativePath, TreeRoot.Entry?) -> Void

  private struct Level: Sendable {
    let listing: DirectoryListing
    /// Set only if links are followed. No link may lead back to this directory.
    let identity: TreeRoot.Identity?
    let path: RelativePath
    /// Where an entry's name begins in `pathBytes`: behind the directory's path and a slash.
    let nameStart: Int
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
  /// The directories above the start, if links are followed.
  private var above: [TreeRoot.Identity] = []
  private var levels: [Level] = []
  private var step = Step.enterStart
  /// The path of the current entry, changed in place. Behind a directory's path comes a slash.
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
        item = visit(listing.entries[position], of: listing, nameFrom: levels[level].nameStart)
      }
      if let item { return item }
    }
  }

  private static func openStart(
    _ start: RelativePath, _ root: TreeRoot, _ symlinks: SymlinkPolicy
  ) throws(Errno) -> (any Descriptor)? {
    do {
      return try root.openDirectory(start, symlinks: symlinks)
    } catch .noSuchFileOrDirectory, .notDirectory {
      return nil
    } catch .tooManySymbolicLinkLevels where symlinks == .follow {
      // There is a circle; or the path has more links than the kernel follows at once (40, path_resolution(7)), as a walk
      // from the root may go through. From the directory above it is one link.
      guard !start.isRoot, let parent = try openStart(start.parent, root, symlinks) else { return nil }
      do {
        return try withoutAccessTime(O_RDONLY | O_DIRECTORY) { flags throws(Errno) in
          try parent.open(String(start.name), flags)
        }
      } catch let cause where cause.meansAbsence(.follow) {
        return nil
      }
    }
  }

  /// Records the directories above the start, because a link must not lead back to them either.
  private mutating func noteAbove() {
    guard symlinks == .follow, !start.isRoot else { return }
    for directory in start.ancestors {
      // A directory that cannot be read cannot lead to the start; the walk itself will report that.
      guard
        case .success(let entry?) = Result(catching: { () throws(TreeError) in try root.look(at: directory) })
      else { continue }
      above.append(TreeRoot.Identity(entry.stamp))
    }
  }

  /// Reads the directory whose path is in `pathBytes`, unless `open` finds that it is gone.
  private mutating func enter(
    _ path: RelativePath, _ open: () throws(Errno) -> (any Descriptor)?
  ) -> WalkItem? {
    do {
      guard let descriptor = try open() else { return nil }
      var identity: TreeRoot.Identity?
      if symlinks == .follow { identity = TreeRoot.Identity(try descriptor.entry().stamp) }
      if levels.isEmpty, let identity, above.contains(identity) { return nil }
      let listing = try DirectoryListing(descriptor, symlinks: symlinks)
      if !pathBytes.isEmpty { pathBytes.append(UInt8(ascii: "/")) }
      levels.append(Level(listing: listing, identity: identity, path: path, nameStart: pathBytes.count))
      return nil
    } catch {
      // This happens only at the start: the start, or a directory above it, has become a link.
      if error == .tooManySymbolicLinkLevels, symlinks != .follow { return .skipped(path, .symbolicLink) }
      return .unreadable(path, root.failure(.list, path, error))
    }
  }

  /// The item for an entry; nil if it is excluded or gone.
  ///
  /// A file's way through here is short, because a comparison waits for the walk. So the level is not copied.
  private mutating func visit(
    _ entry: DirectoryListing.Entry, of listing: DirectoryListing, nameFrom start: Int
  ) -> WalkItem? {
    let name = listing.name(of: entry)
    pathBytes.removeLast(pathBytes.count - start)
    pathBytes.append(contentsOf: name)
    guard let path = RelativePath(utf8: pathBytes) else {
      return undecodable(name, entry.kind, nameFrom: start)
    }
    if filter.excludes(path, entry.kind, nameFrom: start) { return nil }
    switch entry.kind {
    case .symbolicLink, .special:
      return entry.kind == .symbolicLink ? visitLink(path) : .skipped(path, entry.kind)
    case .directory where !entry.isFollowed: break
    case .directory, .file:
      do {
        guard let now = try listing.status(of: entry) else { return nil }
        if now.kind == .file && entry.kind == .file {
          if entry.isFollowed { onLink?(path, now) }
          return .file(path, now.stamp)
        }
        // A file became something else since the listing. A link or device is reported as such. A directory
        // is left out: it would be at the wrong place of the order, and its own events report it.
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
    step = .enter(path, listing, entry)
    return .directory(path)
  }

  private func undecodable(_ name: ArraySlice<UInt8>, _ kind: EntryKind, nameFrom start: Int) -> WalkItem? {
    guard let directory = levels.last?.path else { return nil }
    let text = directory.appending(RelativePath.escaping(name).string)
    return filter.excludes(text, kind, nameFrom: start)
      ? nil : .notUTF8(directory: directory, name: Array(name))
  }

  /// The item for a link that is not followed into a directory.
  private func visitLink(_ path: RelativePath) -> WalkItem? {
    switch symlinks {
    case .skip: break
    case .follow: onLink?(path, nil)
    case .pointer:
      do {
        guard let found = try root.look(at: path, symlinks: .pointer) else { return nil }
        onLink?(path, found.pointer == nil ? nil : found)
        if let pointer = found.pointer { return .pointer(path, found.stamp, pointer) }
        return found.kind == .symbolicLink ? .skipped(path, .symbolicLink) : nil
      } catch {
        return .unreadable(path, error)
      }
    case .link:
      do {
        guard let own = try root.look(at: path, symlinks: .skip), own.kind == .symbolicLink else {
          return nil
        }
        return .link(path, own.stamp, target: root.place(ofLinkAt: path))
      } catch {
        return .unreadable(path, error)
      }
    }
    return .skipped(path, .symbolicLink)
  }
}
