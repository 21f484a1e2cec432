import CLinux
import Glibc
import MirrorModel
import SystemPackage

extension TreeRoot {
  /// Whether nothing in a directory can have a key: links that are not followed and special files do not count, nor does what is
  /// excluded. Nil when there is no directory at the path.
  ///
  /// It reads no further than the first that counts, for directories can be huge.
  package func isEmptyDirectory(_ path: RelativePath, filter: PathFilter) throws(TreeError) -> Bool? {
    do {
      let directory = try openDirectory(path, symlinks: symlinks)
      let copy = try uninterrupted { fcntl(directory.raw, F_DUPFD_CLOEXEC, 0) }
      // SAFETY: the stream owns the copy and lives for this call; an entry is read before the next readdir(3).
      guard let stream = fdopendir(copy) else {
        let cause = Errno(rawValue: errno)
        close(copy)
        throw cause
      }
      defer { closedir(stream) }
      errno = 0
      while let entry = readdir(stream) {
        let kind = EntryKind(directoryType: entry.pointee.d_type)
        let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
          // NAME_MAX and the closing NUL.
          name.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
        }
        if name == "." || name == ".." { continue }
        // It has no key, but it is something: the comparison reports it.
        guard let name else { return false }
        if try counts(path.appending(name), kind, filter) { return false }
        errno = 0
      }
      if errno != 0 { throw Errno(rawValue: errno) }
      return true
    } catch let error as Errno {
      if error == .noSuchFileOrDirectory || error == .notDirectory { return nil }
      // It has become a link, or lies behind one.
      if error == .tooManySymbolicLinkLevels, symlinks == .skip { return nil }
      throw failure(.list, path, error)
    } catch let error as TreeError {
      throw error
    } catch {
      throw failure(.list, path, .ioError)
    }
  }

  private func counts(
    _ path: RelativePath, _ kind: EntryKind?, _ filter: PathFilter
  ) throws(TreeError) -> Bool {
    var kind = kind
    if kind == nil || (kind == .symbolicLink && symlinks == .follow) {
      kind = try look(at: path)?.kind
    }
    switch kind {
    case .file?, .directory?: return kind.map { !filter.excludes(path, $0) } ?? false
    case .symbolicLink?, .special?, nil: return false
    }
  }
}
