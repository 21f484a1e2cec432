import MirrorModel
import SystemPackage

// Symbolic links as objects of their own.
extension TreeRoot {
  /// The text of a symbolic link; nil if no link has the name.
  package func linkText(at path: RelativePath) throws(TreeError) -> [UInt8]? {
    guard let entry = try look(at: path, symlinks: .skip), entry.kind == .symbolicLink else { return nil }
    return text(ofLinkAt: path)
  }

  /// The path inside of the root to which a link leads, of a directory or a file; nil if there is none, or if it
  /// cannot be found.
  package func place(ofLinkAt path: RelativePath) -> RelativePath? {
    guard case .success(let place) = Result(catching: { () throws(Errno) in try pointee(of: path) }) else {
      return nil
    }
    return place
  }

  /// Makes a link in one step, in place of a file or another link. Missing directories are made.
  ///
  /// - Parameter modified: the mtime to set, in nanoseconds since 1970.
  package func makeLink(_ path: RelativePath, text: [UInt8], modified: Int64) throws(TreeError) {
    let directory = try openMakingDirectories(path.parent)
    let (name, temporary) = (String(path.name), PartialFile.name(for: path))
    if let kind = try lookForPlace(at: path)?.kind, kind != .file, kind != .symbolicLink {
      let cause = kind == .directory ? Errno.isDirectory : .fileExists
      throw failure(.publish, path, cause, .notRegular(kind))
    }
    let terminated = text.map { CChar(bitPattern: $0) } + [0]
    try attempt(.publish, path) { () throws(Errno) in
      do throws(Errno) {
        try directory.unlink(temporary, flags: 0)
      } catch {
        // Usually no earlier attempt was killed here.
        if error != .noSuchFileOrDirectory { throw error }
      }
      try directory.makeLink(temporary, text: terminated)
      try directory.setModified(modified, of: temporary)
      try directory.rename(temporary, to: directory, name)
    }
  }
}
