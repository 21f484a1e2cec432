import MirrorModel
import SystemPackage

/// Operations on whole directories.
extension TreeRoot {
  /// Renames a directory below the root in one step. The new name may be free or belong to an empty
  /// directory.
  package func rename(_ path: RelativePath, to other: RelativePath) throws(TreeError) {
    do {
      let (from, to) = (try openParent(of: path), try openParent(of: other))
      try from.rename(String(path.name), to: to, String(other.name))
    } catch {
      throw failure(.publish, other, error)
    }
  }

  /// Removes a directory with its whole content. An absent directory is no error.
  package func removeTree(_ path: RelativePath) throws(TreeError) {
    var below: [(RelativePath, EntryKind?)] = []
    do {
      try forEachName(in: path) { name, kind in
        // An entry whose name is not UTF-8 stays, and so does its directory. The removal below reports this.
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

  /// The names of all entries in a directory; none if there is no directory.
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

  /// The content of a small file; nil if there is no file, or if it is longer than `limit` bytes.
  package func content(of path: RelativePath, limit: Int) throws(TreeError) -> [UInt8]? {
    guard let file = try open(path), file.stamp.size <= Int64(limit) else { return nil }
    // SAFETY: the buffer lives in this call only, and only the bytes that the kernel has written are read.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(file.stamp.size), alignment: 1)
    defer { buffer.deallocate() }
    let count = try file.read(at: 0, into: buffer)
    return Array(buffer.prefix(count))
  }
}
