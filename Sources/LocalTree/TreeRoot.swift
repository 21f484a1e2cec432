// LocalTree: a mirror's local side as the kernel shows it.
//
//   file system where a tree is: the kernel's, or one in memory in tests
//   descriptor  a file or directory that is open; every system call on a tree is a call of one
//   root        the directory whose tree is mirrored, held open from entry to exit
//   entry       a name in a directory, with the result of lstat(2)
//   stamp       a file's version: device, inode, size, mtime, ctime
//   walk        all entries of a tree in the order of S3's listings
//   part        a run of a file's bytes, read into a buffer with pread(2)
//   lease       fcntl(2)'s F_SETLEASE, taken for an instant to find out whether a process writes
//   probe       one try of such a lease
//   vigil       the watch for a close of a file between two probes
//   testimony   what a filesystem's leases or stamps prove about writers
//   partial     the temporary file of a download, beside its target
//   record      the list of finished ranges behind a partial file's content
//   hidden      said of a place whose files may be invisible because of a mount or unmount

import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// An opened root directory. All access to its content goes through it.
///
/// Every path is opened relative to the descriptor that was opened at the start, so a root that is renamed or
/// replaced cannot lead a transfer into another tree; `currentIdentity()` shows such a change. By default no
/// component of a path may be a symbolic link. Otherwise another user who can write into the tree could lead
/// a download or delete out of it, and a check before the open would come too early to prevent it.
package final class TreeRoot: Sendable {
  /// The result of one fstatat(2) for a path.
  package struct Entry: Sendable, Hashable {
    package let kind: EntryKind
    package let stamp: FileStamp
    /// Set if the path is a link and the entry is the file to which it leads (`SymlinkPolicy.pointer`).
    package let pointer: Pointer?

    init(kind: EntryKind, stamp: FileStamp, pointer: Pointer? = nil) {
      self.kind = kind
      self.stamp = stamp
      self.pointer = pointer
    }
  }

  /// Identifies a directory, whatever its name is.
  package struct Identity: Sendable, Hashable {
    package let device: UInt64
    package let inode: UInt64
  }

  /// How symbolic links below the root are rejected.
  enum Resolution: Sendable {
    /// By openat2(2), which resolves the whole path in one call.
    case kernel
    /// By one openat(2) for each component: on kernels before 5.6, and in sandboxes that forbid openat2.
    case componentwise
  }

  package let path: FilePath
  package let fileSystem: any FileSystem
  /// The root's identity at opening.
  package let identity: Identity
  /// The default treatment of links below the root.
  package let symlinks: SymlinkPolicy
  /// Whether the root's filesystem is entirely on this machine, so that opening a file right after its stat
  /// does not wait.
  package let isLocal: Bool
  let descriptor: any Descriptor
  let closeWatch = CloseWatch()
  let foreignMounts = ForeignMounts()
  private let resolution: Resolution

  /// Opens the directory. The path to the root itself may contain symbolic links.
  package convenience init(
    path: FilePath, symlinks: SymlinkPolicy = .skip, in fileSystem: any FileSystem = KernelFileSystem()
  ) throws(TreeError) {
    try self.init(path: path, symlinks: symlinks, in: fileSystem, resolution: nil)
  }

  init(
    path: FilePath, symlinks: SymlinkPolicy = .skip, in fileSystem: any FileSystem = KernelFileSystem(),
    resolution: Resolution?
  ) throws(TreeError) {
    self.path = path
    self.symlinks = symlinks
    self.fileSystem = fileSystem
    do {
      descriptor = try fileSystem.open(path.string, O_RDONLY | O_DIRECTORY)
      identity = Identity(try descriptor.entry().stamp)
      isLocal = try LeaseTestimony(of: descriptor) != .worthless
    } catch {
      throw TreeError(.openRoot, path: path.string, errno: error)
    }
    self.resolution = resolution ?? Self.availableResolution(descriptor)
  }

  /// The identity of the directory at the root's path now; nil if there is none. An unmounted root has the
  /// identity of its mount point.
  package func currentIdentity() throws(TreeError) -> Identity? {
    do {
      return Identity(Entry(try fileSystem.status(of: path.string)).stamp)
    } catch .noSuchFileOrDirectory, .notDirectory {
      return nil
    } catch {
      throw TreeError(.look, path: path.string, errno: error)
    }
  }

  /// Whether the root's path still leads to the opened directory. False if this cannot be checked.
  package var isUnchanged: Bool {
    guard case .success(let current?) = Result(catching: { () throws(TreeError) in try currentIdentity() })
    else { return false }
    return current == identity
  }

  /// The entry at the path now. Nil only if nothing exists there (ENOENT, ENOTDIR).
  ///
  /// Every other failure throws, because a path that cannot be read may exist. A symbolic link among the
  /// path's directories also throws (`TreeError.linkAbove`), unless links are followed. If they are followed,
  /// a link that leads in a circle counts as absent.
  package func look(at path: RelativePath, symlinks: SymlinkPolicy? = nil) throws(TreeError) -> Entry? {
    do {
      return try find(path, symlinks ?? self.symlinks)
    } catch .noSuchFileOrDirectory, .notDirectory {
      return nil
    } catch {
      throw failure(.look, path, error, detail(of: error, at: path))
    }
  }

  /// The entry at a path that is to get a file; nil if the file can be created there.
  ///
  /// Links are not followed. Like `look`, it throws for a path that cannot be read. It also throws if a file
  /// has the name of one of the path's directories.
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
    if path.isRoot { return try descriptor.entry() }
    try check(path)
    switch symlinks {
    case .follow:
      do { return try statusOfTarget(path) } catch .tooManySymbolicLinkLevels { return nil }
    case .skip, .link: return try ownStatus(path)
    case .pointer:
      let own = try ownStatus(path)
      return own.kind == .symbolicLink ? try target(ofLinkAt: path, own) ?? own : own
    }
  }

  /// The entry that has the name, a link itself.
  private func ownStatus(_ path: RelativePath) throws(Errno) -> Entry {
    if path.parent.isRoot { return try descriptor.entry(path.string) }
    return try openBeneath(path, S3M_O_PATH | O_NOFOLLOW).entry()
  }

  /// Distinguishes an ELOOP that a link above the path causes from one that a link at the path causes.
  private func detail(of cause: Errno, at path: RelativePath) -> TreeError.Detail? {
    guard cause == .tooManySymbolicLinkLevels else { return nil }
    // From the top down, so that no link lies above the tested directory.
    let link = path.ancestors.dropLast().last { directory in
      let found = Result { () throws(Errno) in try descriptor.entry(directory.string) }
      if case .success(let entry) = found { return entry.kind == .symbolicLink } else { return false }
    }
    return link.map { .behindLink($0.string) }
  }

  /// The stamp of the regular file at the path; nil if there is none, or if it cannot be read.
  package func stamp(ofFileAt path: RelativePath) -> FileStamp? {
    guard case .success(let entry?) = Result(catching: { () throws(TreeError) in try look(at: path) }),
      entry.kind == .file
    else { return nil }
    return entry.stamp
  }

  /// When the file at the path was created, in nanoseconds since 1970-01-01 UTC (statx(2), `stx_btime`); nil if
  /// there is none, or if the filesystem does not keep that time.
  package func birth(ofFileAt path: RelativePath) -> Int64? {
    guard let status = mountStatus(of: path, flags: 0), status.birth > 0 else { return nil }
    return status.birth
  }

  /// The probable entry at the path, as a hint that nothing may depend on. One system call, which follows
  /// links among the path's directories.
  package func glance(at path: RelativePath) -> Entry? {
    do { return try descriptor.entry(path.string) } catch { return nil }
  }

  /// Whether the path leads to this version of a file that is open. No other file has its inode as long as it
  /// is open, so one system call is enough, which may follow links among the path's directories.
  ///
  /// - Returns: false in doubt; `look` tells more.
  package func leads(_ path: RelativePath, to file: LocalFile) -> Bool {
    glance(at: path)?.stamp.isSameVersion(as: file.stamp) ?? false
  }

  /// Opens a regular file for reading; nil if nothing exists there.
  ///
  /// O_NONBLOCK keeps the open from blocking at a FIFO. If another process holds a write lease on the file,
  /// the open then fails with EAGAIN at once.
  package func open(_ path: RelativePath, symlinks: SymlinkPolicy? = nil) throws(TreeError) -> LocalFile? {
    let symlinks = symlinks ?? self.symlinks
    let opened: any Descriptor
    let entry: Entry
    do {
      try check(path)
      opened = try withoutAccessTime(O_RDONLY | O_NONBLOCK) { flags throws(Errno) in
        try open(path, flags, symlinks)
      }
      entry = try opened.entry()
    } catch let cause where cause.meansAbsence(symlinks) {
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
  func openDirectory(_ path: RelativePath, symlinks: SymlinkPolicy) throws(Errno) -> any Descriptor {
    let flags = O_RDONLY | O_DIRECTORY
    if path.isRoot {
      // A second open and not a duplicate, because walks must not share the listing's offset.
      return try withoutAccessTime(flags) { flags throws(Errno) in
        try descriptor.open(".", flags)
      }
    }
    try check(path)
    return try withoutAccessTime(flags) { flags throws(Errno) in try open(path, flags, symlinks) }
  }

  /// Opens the directory that holds a path, for operations on the name in it.
  func openParent(of path: RelativePath) throws(Errno) -> any Descriptor {
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

  /// Makes system calls for a path. Their error gets the operation and the path.
  func attempt<Value>(
    _ operation: TreeError.Operation, _ path: RelativePath, _ calls: () throws(Errno) -> Value
  ) throws(TreeError) -> Value {
    do {
      return try calls()
    } catch {
      throw failure(operation, path, error)
    }
  }

  /// Rejects text that is no path below the root. The kernel would end the path at a NUL, and `..` would
  /// leave the root.
  func check(_ path: RelativePath) throws(Errno) {
    switch UnsafeKey.Reason(path) {
    case nil: return
    case .nameTooLong, .pathTooLong: throw .fileNameTooLong
    default: throw .invalidArgument
    }
  }

  private func open(
    _ path: RelativePath, _ flags: CInt, _ symlinks: SymlinkPolicy
  ) throws(Errno) -> any Descriptor {
    switch symlinks {
    case .follow: return try descriptor.open(path.string, flags)
    case .skip, .link: return try openBeneath(path, flags)
    case .pointer:
      do {
        return try openBeneath(path, flags)
      } catch .tooManySymbolicLinkLevels where flags & O_DIRECTORY == 0 {
        return try openTarget(ofLinkAt: path, flags)
      }
    }
  }

  /// The target of a path through links; or the link itself if it has no target, because then something
  /// exists.
  private func statusOfTarget(_ path: RelativePath) throws(Errno) -> Entry {
    do {
      return try descriptor.entry(path.string, flags: 0)
    } catch let cause where cause.meansNoTarget {
      return try descriptor.entry(path.string)
    }
  }

  /// Opens a path without a link in any component. O_NOFOLLOW is used only with O_PATH, to open a link
  /// itself. With a directory it would turn ELOOP for a link at the end into ENOTDIR, which counts as
  /// absence.
  func openBeneath(_ path: RelativePath, _ flags: CInt) throws(Errno) -> any Descriptor {
    switch resolution {
    case .kernel: return try descriptor.open(beneath: path.string, flags)
    case .componentwise:
      var directory = descriptor
      for step in path.ancestors.dropLast().reversed() {
        directory = try openPlainly(step, in: directory, S3M_O_PATH | O_DIRECTORY)
      }
      return try openPlainly(path, in: directory, flags)
    }
  }

  /// Opens one component. If a directory is expected, openat(2) reports a link as ENOTDIR, which would count
  /// as absence. openat2(2) reports ELOOP, and so does this function.
  private func openPlainly(
    _ path: RelativePath, in directory: any Descriptor, _ flags: CInt
  ) throws(Errno) -> any Descriptor {
    let name = String(path.name)
    do {
      return try directory.open(name, flags | O_NOFOLLOW)
    } catch .notDirectory {
      if try directory.entry(name).kind == .symbolicLink { throw .tooManySymbolicLinkLevels }
      throw .notDirectory
    }
  }

  private static func availableResolution(_ root: any Descriptor) -> Resolution {
    do {
      _ = try root.open(beneath: ".", S3M_O_PATH | O_DIRECTORY)
      return .kernel
    } catch {
      // ENOSYS before Linux 5.6; EPERM from a seccomp filter that does not know the call.
      return .componentwise
    }
  }
}

/// How symbolic links below a root are treated.
package enum SymlinkPolicy: Sendable, Hashable {
  case skip
  /// Use their targets, inside the root or not.
  case follow
  /// Use the target of a link at the end of a path, if it is a regular file inside of the root. Directories
  /// may not be links.
  case pointer
  /// A link is an entry of its own, with its text as content.
  case link
}

extension Errno {
  /// A followed link leads to a missing name, through a file, or in a circle.
  var meansNoTarget: Bool {
    self == .noSuchFileOrDirectory || self == .notDirectory || self == .tooManySymbolicLinkLevels
  }

  /// There is nothing at a path. A link that leads in a circle shows nothing where links are followed; elsewhere the
  /// same error reports a link.
  func meansAbsence(_ symlinks: SymlinkPolicy) -> Bool {
    meansNoTarget && (symlinks == .follow || self != .tooManySymbolicLinkLevels)
  }
}

extension TreeRoot.Identity {
  init(_ stamp: FileStamp) {
    device = stamp.device
    inode = stamp.inode
  }
}
