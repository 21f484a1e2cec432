import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// A copy of an opened file that no other process can change. It has no name, and its disk space is freed
/// when its last reference ends, even after SIGKILL.
///
/// A file that is written again before its upload ends can be sent from such a copy. Copying takes a fraction
/// of the time of sending, so some version is copied whole. The caller has to prove that the copy is whole.
package final class PrivateCopy: Sendable {
  /// The copy for reading, with the path and the stamp of the original.
  package let file: LocalFile

  private let source: LocalFile
  private let descriptor: any Descriptor

  /// Creates an empty copy.
  ///
  /// - Parameter directory: the directory for the nameless file. Its filesystem must have twice the file's
  ///   size free, so that the trainer's temporary files, and on tmpfs its memory, keep enough space.
  package init(of source: LocalFile, in directory: String) throws(TreeError) {
    let needed = 2 * source.stamp.size
    let free: Int64?
    do {
      let opened = try source.root.fileSystem.open(directory, O_RDONLY | O_DIRECTORY)
      free = try opened.freeSpace()
      descriptor = try Self.makeUnnamed(in: opened)
    } catch {
      throw TreeError(.createCopy, path: directory, errno: error)
    }
    if let free, free < needed {
      throw TreeError(
        .createCopy, path: directory, errno: .noSpace, detail: .diskFull(needed: needed, free: free))
    }
    self.source = source
    file = LocalFile(descriptor, stamp: source.stamp, path: source.path, root: source.root)
  }

  /// Makes a copy that shares the original's blocks (FICLONE) at one instant; nil if the filesystem does not
  /// support it, or if no file can be made beside the root. The copy is not made in the root, because events
  /// would report it.
  package init?(cloning source: LocalFile) {
    do {
      let parent = try source.root.descriptor.open("..", O_RDONLY | O_DIRECTORY)
      guard try parent.entry().stamp.device == source.stamp.device else { return nil }
      let clone = try parent.open(".", O_RDWR | S3M_O_TMPFILE, mode: 0o600)
      try clone.clone(source.descriptor)
      descriptor = clone
    } catch {
      return nil
    }
    self.source = source
    file = LocalFile(descriptor, stamp: source.stamp, path: source.path, root: source.root)
  }

  /// Copies a stretch; false if the original has become shorter. Blocks: call it on a reader thread.
  package func copy(at offset: Int64, byteCount: Int64) throws(TreeError) -> Bool {
    let piece = PartBuffer(capacity: Int(min(max(byteCount, 1), Self.pieceBytes)))
    var done: Int64 = 0
    while done < byteCount {
      let wanted = Int(min(Self.pieceBytes, byteCount - done))
      try piece.fill(from: source, at: offset + done, byteCount: wanted)
      guard piece.count == wanted else { return false }
      try source.root.attempt(.createCopy, source.path) { () throws(Errno) in
        try descriptor.write(piece.bytes, at: offset + done)
      }
      done += Int64(wanted)
    }
    return true
  }

  /// 1 MiB: one system call copies this in some hundred microseconds.
  private static let pieceBytes: Int64 = 1 << 20

  /// The directory for temporary files: `TMPDIR`, otherwise `/tmp`.
  package static var standardDirectory: String {
    guard let value = getenv("TMPDIR"), value.pointee != 0 else { return "/tmp" }
    return String(cString: value)
  }

  /// Uses O_TMPFILE. Some filesystems lack it (EOPNOTSUPP, or EISDIR before Linux 3.11); there the file has a
  /// name for a moment.
  private static func makeUnnamed(in directory: any Descriptor) throws(Errno) -> any Descriptor {
    do {
      return try directory.open(".", O_RDWR | S3M_O_TMPFILE, mode: 0o600)
    } catch .notSupported, .isDirectory {
      let name = "s3mirror-\(getpid())-" + String(UInt64.random(in: 0 ... .max), radix: 16)
      let named = try directory.open(name, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
      try directory.unlink(name, flags: 0)
      return named
    }
  }
}
