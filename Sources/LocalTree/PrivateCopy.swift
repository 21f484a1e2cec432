import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// A copy of an opened file that no other process can change. It has no name, and its space is free again when it is let go,
/// also after SIGKILL.
///
/// A file that is written again before its upload ends can be sent from such a copy: copying takes a fraction of the time that
/// sending takes, so some version is copied whole. Whether the copy is whole is the caller's to prove.
package final class PrivateCopy: Sendable {
  /// Reads the copy, and bears the path and the stamp of the original.
  package let file: LocalFile

  private let source: LocalFile
  private let descriptor: OpenDescriptor

  /// Makes an empty copy.
  ///
  /// - Parameter directory: for the file without a name; its filesystem keeps as many bytes free as the copy takes, so that
  ///   neither the trainer's own temporary files nor, on tmpfs, its memory run out.
  package init(of source: LocalFile, in directory: String) throws(TreeError) {
    let needed = 2 * source.stamp.size
    let free: Int64?
    do {
      let opened = try OpenDescriptor(
        adopting: uninterrupted { s3m_open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) })
      free = try PartialFile.freeSpace(at: opened)
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

  /// A copy that shares the original's blocks (FICLONE), made at one instant; nil where the filesystem cannot, or nothing may be
  /// made beside the root. Not in the root: events would tell of it.
  package init?(cloning source: LocalFile) {
    do {
      let parent = try OpenDescriptor(at: source.root.descriptor, "..", O_RDONLY | O_DIRECTORY)
      guard try parent.status().stamp.device == source.stamp.device else { return nil }
      let clone = try OpenDescriptor(at: parent, ".", O_RDWR | S3M_O_TMPFILE, mode: 0o600)
      _ = try uninterrupted { s3m_clone_file(clone.raw, source.descriptor.raw) }
      descriptor = clone
    } catch {
      return nil
    }
    self.source = source
    file = LocalFile(descriptor, stamp: source.stamp, path: source.path, root: source.root)
  }

  /// Copies a stretch; false when the original has become shorter. Blocks: for a reader thread.
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

  /// 1 MiB: what one system call copies in some hundred microseconds.
  private static let pieceBytes: Int64 = 1 << 20

  /// Where temporary files go: `TMPDIR`, else `/tmp`.
  package static var standardDirectory: String {
    guard let value = getenv("TMPDIR"), value.pointee != 0 else { return "/tmp" }
    return String(cString: value)
  }

  /// O_TMPFILE, which some filesystems lack (EOPNOTSUPP, and EISDIR before Linux 3.11): there the file has a name for an instant.
  private static func makeUnnamed(in directory: OpenDescriptor) throws(Errno) -> OpenDescriptor {
    do {
      return try OpenDescriptor(at: directory, ".", O_RDWR | S3M_O_TMPFILE, mode: 0o600)
    } catch .notSupported, .isDirectory {
      let name = "s3mirror-\(getpid())-" + String(UInt64.random(in: 0 ... .max), radix: 16)
      let named = try OpenDescriptor(at: directory, name, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
      _ = try uninterrupted { unlinkat(directory.raw, name, 0) }
      return named
    }
  }
}
