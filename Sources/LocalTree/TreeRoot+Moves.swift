import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// Directories as a whole.
extension TreeRoot {
  /// Gives a directory another name below the root, in one step. Nothing may have that name, or an empty directory.
  package func rename(_ path: RelativePath, to other: RelativePath) throws(TreeError) {
    do {
      let (from, to) = (try openParent(of: path), try openParent(of: other))
      _ = try uninterrupted { renameat(from.raw, String(path.name), to.raw, String(other.name)) }
    } catch {
      throw failure(.publish, other, error)
    }
  }

  /// Removes a directory with everything in it. That it is gone already is no error.
  package func removeTree(_ path: RelativePath) throws(TreeError) {
    var below: [(RelativePath, EntryKind?)] = []
    do {
      try forEachName(in: path) { name, kind in
        // What is not UTF-8 stays, and its directory with it: the removal below says so.
        if let name { below.append((path.appending(name), kind)) }
        return true
      }
    } catch .noSuchFileOrDirectory {
      return
    } catch {
      throw failure(.remove, path, error)
    }
    for (entry, known) in below {
      let kind = if let known { known } else { try look(at: entry)?.kind }
      if kind == .directory { try removeTree(entry) } else { try remove(entry) }
    }
    guard try removeEmptyDirectory(path) else { throw failure(.remove, path, .directoryNotEmpty) }
  }

  /// The names in a directory, of whatever kind; none where no directory is.
  package func names(in directory: RelativePath) throws(TreeError) -> [RelativePath] {
    var found: [RelativePath] = []
    do {
      try forEachName(in: directory) { name, _ in
        if let name { found.append(directory.appending(name)) }
        return true
      }
    } catch .noSuchFileOrDirectory, .notDirectory {
      return []
    } catch {
      throw failure(.list, directory, error)
    }
    return found
  }

  /// The content of a small file; nil where there is none, or it is longer than `limit` bytes.
  package func content(of path: RelativePath, limit: Int) throws(TreeError) -> [UInt8]? {
    guard let file = try open(path), file.stamp.size <= Int64(limit) else { return nil }
    // SAFETY: the buffer lives in this call only, and as many bytes of it are read as the kernel says it wrote.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(file.stamp.size), alignment: 1)
    defer { buffer.deallocate() }
    let count = try file.read(at: 0, into: buffer)
    return Array(buffer.prefix(count))
  }
}
