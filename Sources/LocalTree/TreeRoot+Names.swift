import CLinux
import Glibc
import MirrorModel
import SystemPackage

extension TreeRoot {
  /// The files directly in a directory whose names satisfy `isWanted`; none if there is no directory.
  ///
  /// The directory is read entry by entry, because it may be huge while few of its names are wanted.
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
    } catch let cause where cause.meansNoTarget {
      // There is a link at the directory's place, or above it. Downloads do not write behind links either.
      return []
    } catch {
      throw failure(.list, directory, error)
    }
    // Some filesystems report no kinds in their directories.
    return found.filter { stamp(ofFileAt: $0) != nil }
  }

  /// Calls `body` for each name of a directory in the kernel's order, without `.` and `..`.
  ///
  /// - Parameter body: the name is nil if it is not UTF-8, and the kind is nil if the filesystem does not
  ///   report it. A result of false ends the loop.
  func forEachName(
    in path: RelativePath, _ body: (String?, EntryKind?) throws(Errno) -> Bool
  ) throws(Errno) {
    let directory = try openDirectory(path, symlinks: symlinks)
    let copy = try uninterrupted { fcntl(directory.raw, F_DUPFD_CLOEXEC, 0) }
    // SAFETY: the stream owns the copy and lives in this call only. An entry is read before the next
    // readdir(3).
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
