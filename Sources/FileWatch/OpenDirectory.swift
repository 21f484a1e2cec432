import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// A directory that is open while it is watched and listed, so that both steps concern the same directory
/// even if it is renamed in between. It is closed soon after, because an open directory delays IN_DELETE_SELF
/// and keeps its filesystem mounted.
package struct OpenDirectory: ~Copyable {
  package let descriptor: Int32

  private init(descriptor: Int32) throws(Errno) {
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    self.descriptor = descriptor
  }

  deinit {
    close(descriptor)
  }

  /// Opens the root. Only here a symbolic link is followed, because the user names the root's path.
  package init(root path: FilePath) throws(Errno) {
    let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
    try self.init(descriptor: path.withPlatformString { s3m_open_at(AT_FDCWD, $0, flags, 0) })
  }

  /// Opens a subdirectory. A symbolic link fails with ENOTDIR (open(2): O_DIRECTORY with O_NOFOLLOW).
  package borrowing func subdirectory(_ name: RelativePath) throws(Errno) -> OpenDirectory {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    return try OpenDirectory(descriptor: s3m_open_at(descriptor, name.string, flags, 0))
  }

  /// Opens a deeper directory, name by name, so that no link on the way is followed and no path is too long.
  package consuming func descendant(_ path: RelativePath) throws(Errno) -> OpenDirectory {
    var current = self
    for name in path.string.utf8.split(separator: UInt8(ascii: "/")) {
      let next = try current.subdirectory(RelativePath(String(Substring(name))))
      current = next
    }
    return current
  }

  package struct Identity: Sendable, Hashable {
    var device: UInt64
    var inode: UInt64
  }

  package borrowing func identity() throws(Errno) -> Identity {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Errno(rawValue: errno) }
    return Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }

  /// The kind of the entry with this name; nil if there is none.
  package borrowing func kind(of name: RelativePath) throws(Errno) -> EntryKind? {
    var status = stat()
    guard fstatat(descriptor, name.string, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      let code = Errno(rawValue: errno)
      if code == .noSuchFileOrDirectory { return nil }
      throw code
    }
    return switch status.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .directory
    case S_IFLNK: .symbolicLink
    default: .special
    }
  }
}

extension OpenDirectory {
  /// Calls `body` for each entry with its kind, in the filesystem's order.
  package borrowing func list(_ body: (InotifyRecord.Name, EntryKind) -> Void) throws(Errno) {
    // fdopendir(3) takes over its descriptor, so it gets a new one.
    let own = s3m_open_at(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
    guard own >= 0 else { throw Errno(rawValue: errno) }
    guard let stream = fdopendir(own) else {
      let code = Errno(rawValue: errno)
      close(own)
      throw code
    }
    defer { closedir(stream) }
    while true {
      // readdir(3): only errno distinguishes the end from an error.
      errno = 0
      guard let entry = readdir(stream) else {
        guard errno == 0 else { throw Errno(rawValue: errno) }
        return
      }
      // SAFETY: the entry is valid until the next readdir(3) on this stream. Its name ends with a NUL and may
      // be shorter than the 256 bytes of its Swift type, so it is read through the pointer, not copied.
      guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { return }
      let start = UnsafeRawPointer(entry) + offset
      let bytes = UnsafeRawBufferPointer(
        start: start, count: strlen(start.assumingMemoryBound(to: CChar.self)))
      if bytes.elementsEqual(".".utf8) || bytes.elementsEqual("..".utf8) { continue }
      let name = String(validating: bytes, as: UTF8.self).map { RelativePath($0) }
      guard let kind = try kind(type: entry.pointee.d_type, name: name) else { continue }
      body(name.map { .text($0) } ?? .undecodable(.escaping(bytes)), kind)
    }
  }

  /// Nil if the entry no longer exists.
  private borrowing func kind(type: UInt8, name: RelativePath?) throws(Errno) -> EntryKind? {
    switch Int(type) {
    case Int(DT_REG): .file
    case Int(DT_DIR): .directory
    case Int(DT_LNK): .symbolicLink
    case Int(DT_UNKNOWN):
      // Some filesystems store no types in their directories (readdir(3), d_type).
      if let name { try kind(of: name) } else { .special }
    default: .special
    }
  }
}
