// LocalTree: a mirror's local side as the kernel shows it.
//
//   root        the directory whose tree is mirrored, held open from entry to exit
//   entry       a name in a directory and what lstat(2) tells of it
//   stamp       a file's version: device, inode, size, mtime, ctime
//   walk        all entries of a tree in the order of S3's listings
//   part        a run of a file's bytes, read into a buffer with pread(2)
//   lease       fcntl(2)'s F_SETLEASE, taken for an instant to learn whether a writer is there
//   partial     the temporary file of a download, beside its target

import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// An opened root directory, and the only way to what lies below it.
///
/// Everything is opened relative to the descriptor taken at the start, so a root that is renamed or replaced
/// cannot lead a transfer into another tree; `currentIdentity()` tells that this has happened. Unless asked to
/// follow, no component of a path may be a symbolic link: somebody who can write into the tree could otherwise
/// lead a download or a delete out of it, and a check made before the open could be outrun.
package final class TreeRoot: Sendable {
  /// What lies at a path, from one fstatat(2).
  package struct Entry: Sendable, Hashable {
    package let kind: EntryKind
    package let stamp: FileStamp
  }

  /// Which directory it is, whatever its name.
  package struct Identity: Sendable, Hashable {
    package let device: UInt64
    package let inode: UInt64
  }

  /// How symbolic links below the root are kept out.
  enum Resolution: Sendable {
    /// openat2(2) resolves the whole path in one call.
    case kernel
    /// One openat(2) a component: kernels before 5.6, and sandboxes that deny openat2.
    case componentwise
  }

  package let path: FilePath
  /// The root's identity at opening.
  package let identity: Identity
  /// What is done about links below the root where nothing else is asked for.
  package let symlinks: SymlinkPolicy
  /// Whether all of the root's filesystem is in this machine, so that opening what was just looked at waits for nobody.
  package let isLocal: Bool
  let descriptor: OpenDescriptor
  let closeWatch = CloseWatch()
  private let resolution: Resolution

  /// Opens the directory; the path to the root itself may lead through symbolic links.
  package convenience init(path: FilePath, symlinks: SymlinkPolicy = .skip) throws(TreeError) {
    try self.init(path: path, symlinks: symlinks, resolution: nil)
  }

  init(path: FilePath, symlinks: SymlinkPolicy = .skip, resolution: Resolution?) throws(TreeError) {
    self.path = path
    self.symlinks = symlinks
    do {
      let raw = try uninterrupted {
        s3m_open_at(AT_FDCWD, path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
      }
      descriptor = OpenDescriptor(adopting: raw)
      identity = Identity(try descriptor.status().stamp)
      isLocal = try LeaseTestimony(of: descriptor) != .worthless
    } catch {
      throw TreeError(.openRoot, path: path.string, errno: error)
    }
    self.resolution = resolution ?? Self.availableResolution(descriptor)
  }

  /// What the root's path leads to now; nil when nothing is there. An unmounted root has its mount point's identity.
  package func currentIdentity() throws(TreeError) -> Identity? {
    var status = stat()
    do {
      _ = try uninterrupted { stat(path.string, &status) }
    } catch .noSuchFileOrDirectory, .notDirectory {
      return nil
    } catch {
      throw TreeError(.look, path: path.string, errno: error)
    }
    return Identity(Entry(status).stamp)
  }

  /// Whether the root's path still leads to the directory that was opened. A root that cannot be looked at is not.
  package var isUnchanged: Bool {
    guard case .success(let current?) = Result(catching: { () throws(TreeError) in try currentIdentity() })
    else { return false }
    return current == identity
  }

  /// What lies at the path now: nil when and only when nothing does (ENOENT, ENOTDIR).
  ///
  /// Every other failure throws, since what cannot be seen may well be there. So does a symbolic link among the
  /// path's directories (`TreeError.linkAbove`) unless links are followed; then nothing lies behind one that runs in a circle.
  package func look(at path: RelativePath, symlinks: SymlinkPolicy? = nil) throws(TreeError) -> Entry? {
    do {
      return try find(path, symlinks ?? self.symlinks)
    } catch .noSuchFileOrDirectory, .notDirectory {
      return nil
    } catch {
      throw failure(.look, path, error, detail(of: error, at: path))
    }
  }

  /// What lies at a path that is to get a file: nil when it can be made there.
  ///
  /// Links are not followed. As `look` it throws for what cannot be seen, and besides where a file has the name of one of the path's
  /// directories.
  package func lookForPlace(at path: RelativePath) throws(TreeError) -> Entry? {
    do {
      return try find(path, .skip)
    } catch .noSuchFileOrDirectory {
      return nil
    } catch .notDirectory {
      throw failure(.createDirectory, path.parent, .notDirectory)
    } catch {
      throw failure(.look, path, error, detail(of: error, at: path))
    }
  }

  private func find(_ path: RelativePath, _ symlinks: SymlinkPolicy) throws(Errno) -> Entry? {
    if path.isRoot { return try descriptor.status() }
    try check(path)
    switch symlinks {
    case .follow:
      do { return try statusOfTarget(path) } catch .tooManySymbolicLinkLevels { return nil }
    case .skip:
      if path.parent.isRoot { return try descriptor.status(of: path.string) }
      return try openBeneath(path, S3M_O_PATH | O_NOFOLLOW).status()
    }
  }

  /// Tells ELOOP of a link among the directories above a path from that of a link at its end.
  private func detail(of cause: Errno, at path: RelativePath) -> TreeError.Detail? {
    guard cause == .tooManySymbolicLinkLevels else { return nil }
    // From the top down, so that no link is on the way to the next directory.
    let link = path.ancestors.dropLast().last { directory in
      let found = Result { () throws(Errno) in try descriptor.status(of: directory.string) }
      if case .success(let entry) = found { return entry.kind == .symbolicLink } else { return false }
    }
    return link.map { .behindLink($0.string) }
  }

  /// The stamp of the regular file at the path; nil where there is none, or none can be seen.
  package func stamp(ofFileAt path: RelativePath) -> FileStamp? {
    guard case .success(let entry?) = Result(catching: { () throws(TreeError) in try look(at: path) }),
      entry.kind == .file
    else { return nil }
    return entry.stamp
  }

  /// What probably lies at the path, for a hint that nothing depends on: one system call, which follows links among the
  /// path's directories.
  package func glance(at path: RelativePath) -> Entry? {
    do { return try descriptor.status(of: path.string) } catch { return nil }
  }

  /// Opens a regular file for reading; nil when nothing lies there.
  ///
  /// O_NONBLOCK keeps a FIFO from blocking the open. It also makes the open fail with EAGAIN, instead of waiting,
  /// where another process holds a write lease on the file.
  package func open(_ path: RelativePath, symlinks: SymlinkPolicy? = nil) throws(TreeError) -> LocalFile? {
    let symlinks = symlinks ?? self.symlinks
    let opened: OpenDescriptor
    let entry: Entry
    do {
      try check(path)
      opened = try withoutAccessTime(O_RDONLY | O_NONBLOCK) { flags throws(Errno) in
        try open(path, flags, symlinks)
      }
      entry = try opened.status()
    } catch .noSuchFileOrDirectory, .notDirectory {
      return nil
    } catch {
      throw failure(.open, path, error, detail(of: error, at: path))
    }
    guard entry.kind == .file else {
      let cause = entry.kind == .directory ? Errno.isDirectory : .invalidArgument
      throw failure(.open, path, cause, .notRegular(entry.kind))
    }
    return LocalFile(opened, stamp: entry.stamp, path: path, root: self)
  }

  /// Opens a directory for listing.
  func openDirectory(_ path: RelativePath, symlinks: SymlinkPolicy) throws(Errno) -> OpenDescriptor {
    let flags = O_RDONLY | O_DIRECTORY
    if path.isRoot {
      // A second open, not a duplicate: the listing's offset must not be shared with other walks.
      return try withoutAccessTime(flags) { flags throws(Errno) in
        try OpenDescriptor(at: descriptor, ".", flags)
      }
    }
    try check(path)
    return try withoutAccessTime(flags) { flags throws(Errno) in try open(path, flags, symlinks) }
  }

  /// The directory that holds a path, to act upon the name in it.
  func openParent(of path: RelativePath) throws(Errno) -> OpenDescriptor {
    try check(path)
    if path.parent.isRoot { return descriptor }
    return try openBeneath(path.parent, S3M_O_PATH | O_DIRECTORY)
  }

  func failure(
    _ operation: TreeError.Operation, _ path: RelativePath, _ cause: Errno, _ detail: TreeError.Detail? = nil
  ) -> TreeError {
    let full = path.isRoot ? self.path.string : self.path.string + "/" + path.string
    return TreeError(operation, path: full, errno: cause, detail: detail)
  }

  /// Makes system calls that concern a path, and says in their error which and where.
  func attempt<Value>(
    _ operation: TreeError.Operation, _ path: RelativePath, _ calls: () throws(Errno) -> Value
  ) throws(TreeError) -> Value {
    do {
      return try calls()
    } catch {
      throw failure(operation, path, error)
    }
  }

  /// Refuses what is no path below the root. A NUL would end the path early in the kernel's eyes, and `..` would climb.
  func check(_ path: RelativePath) throws(Errno) {
    switch UnsafeKey.Reason(path) {
    case nil: return
    case .nameTooLong, .pathTooLong: throw .fileNameTooLong
    default: throw .invalidArgument
    }
  }

  private func open(
    _ path: RelativePath, _ flags: CInt, _ symlinks: SymlinkPolicy
  ) throws(Errno) -> OpenDescriptor {
    switch symlinks {
    case .follow: try OpenDescriptor(at: descriptor, path.string, flags)
    case .skip: try openBeneath(path, flags)
    }
  }

  /// What a path leads to over links, or the link itself where that leads nowhere: something is there.
  private func statusOfTarget(_ path: RelativePath) throws(Errno) -> Entry {
    do {
      return try descriptor.status(of: path.string, flags: 0)
    } catch let cause where cause.meansNoTarget {
      return try descriptor.status(of: path.string)
    }
  }

  /// Opens a path none of whose components is a link. O_NOFOLLOW is only for O_PATH, to open a link itself: a link at
  /// the end where a directory is asked for would make it ENOTDIR, which passes for absence, instead of ELOOP.
  private func openBeneath(_ path: RelativePath, _ flags: CInt) throws(Errno) -> OpenDescriptor {
    switch resolution {
    case .kernel: return try OpenDescriptor(beneath: descriptor, path.string, flags)
    case .componentwise:
      var directory = descriptor
      for step in path.ancestors.dropLast().reversed() {
        directory = try openPlainly(step, in: directory, S3M_O_PATH | O_DIRECTORY)
      }
      return try openPlainly(path, in: directory, flags)
    }
  }

  /// One step. A link where a directory is asked for is ENOTDIR to openat(2), which would pass for absence;
  /// openat2(2) says ELOOP, and so does this.
  private func openPlainly(
    _ path: RelativePath, in directory: OpenDescriptor, _ flags: CInt
  ) throws(Errno) -> OpenDescriptor {
    let name = String(path.name)
    do {
      return try OpenDescriptor(at: directory, name, flags | O_NOFOLLOW)
    } catch .notDirectory {
      if try directory.status(of: name).kind == .symbolicLink { throw .tooManySymbolicLinkLevels }
      throw .notDirectory
    }
  }

  private static func availableResolution(_ root: OpenDescriptor) -> Resolution {
    do {
      _ = try OpenDescriptor(beneath: root, ".", S3M_O_PATH | O_DIRECTORY)
      return .kernel
    } catch {
      // ENOSYS before Linux 5.6; EPERM from a seccomp filter that does not know the call.
      return .componentwise
    }
  }
}

/// What is done about symbolic links below a root.
package enum SymlinkPolicy: Sendable, Hashable {
  case skip
  /// Take what they point to, inside the root or not.
  case follow
}

extension Errno {
  /// A link that was followed leads to a missing name, through a file, or in a circle.
  fileprivate var meansNoTarget: Bool {
    self == .noSuchFileOrDirectory || self == .notDirectory || self == .tooManySymbolicLinkLevels
  }
}

extension TreeRoot.Identity {
  init(_ stamp: FileStamp) {
    device = stamp.device
    inode = stamp.inode
  }
}
