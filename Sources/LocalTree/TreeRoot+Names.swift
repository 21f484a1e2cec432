import CLinux
import Glibc
import MirrorModel
import SystemPackage

extension TreeRoot {
  /// Files that lie directly in a directory and that `isWanted` picks by name; none where no directory is.
  ///
  /// The directory is read entry by entry: it may be huge, and few names of it are wanted.
  package func files(
    in directory: RelativePath, where isWanted: (RelativePath) -> Bool
  ) throws(TreeError) -> [RelativePath] {
    var found: [RelativePath] = []
    do {
      try forEachName(in: directory) { name, kind in
        guard let name else { return true }
        let path = directory.appending(name)
        if kind == .file || kind == nil, isWanted(path) { found.append(path) }
        return true
      }
    } catch .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels {
      // A link in the directory's place, or above it: nothing is written behind it either.
      return []
    } catch {
      throw failure(.list, directory, error)
    }
    // Some filesystems do not tell kinds in their directories.
    return found.filter { stamp(ofFileAt: $0) != nil }
  }

  /// Hands out the names of a directory as the kernel has them, without `.` and `..`.
  ///
  /// - Parameter body: given nil for a name that is not UTF-8, and a kind of nil where the filesystem does not tell; false ends it.
  func forEachName(
    in path: RelativePath, _ body: (String?, EntryKind?) throws(Errno) -> Bool
  ) throws(Errno) {
    let directory = try openDirectory(path, symlinks: symlinks)
    let copy = try uninterrupted { fcntl(directory.raw, F_DUPFD_CLOEXEC, 0) }
    // SAFETY: the stream owns the copy and lives for this call; an entry is read before the next readdir(3).
    guard let stream = fdopendir(copy) else {
      let cause = Errno(rawValue: Glibc.errno)
      close(copy)
      throw cause
    }
    defer { closedir(stream) }
    Glibc.errno = 0
    while let entry = readdir(stream) {
      let kind = EntryKind(directoryType: entry.pointee.d_type)
      let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
        // NAME_MAX and the closing NUL.
        name.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
      }
      if name == "." || name == ".." { continue }
      if try !body(name, kind) { return }
      Glibc.errno = 0
    }
    if Glibc.errno != 0 { throw Errno(rawValue: Glibc.errno) }
  }
}
