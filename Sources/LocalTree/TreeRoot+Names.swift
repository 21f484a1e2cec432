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
    try openDirectory(path, symlinks: symlinks).forEachName { name, kind throws(Errno) in
      try body(String(validating: name, as: UTF8.self), kind)
    }
  }
}
