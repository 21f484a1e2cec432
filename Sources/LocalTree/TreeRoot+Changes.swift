import Glibc
import MirrorModel
import SystemPackage

/// Changes that a download makes besides its files.
extension TreeRoot {
  /// Removes a file, or a symbolic link (not its target). An absent file is no error; a directory is one.
  package func remove(_ path: RelativePath) throws(TreeError) {
    do {
      let parent = try openParent(of: path)
      try parent.unlink(String(path.name), flags: 0)
    } catch .noSuchFileOrDirectory, .notDirectory {
      return
    } catch {
      throw failure(.remove, path, error)
    }
  }

  /// Removes a directory if it is empty.
  ///
  /// - Returns: whether the directory is gone; false if it is not empty.
  @discardableResult
  package func removeEmptyDirectory(_ path: RelativePath) throws(TreeError) -> Bool {
    do {
      let parent = try openParent(of: path)
      try parent.unlink(String(path.name), flags: AT_REMOVEDIR)
      return true
    } catch .noSuchFileOrDirectory {
      return true
    } catch .directoryNotEmpty, .fileExists {
      // rmdir(2) may return either errno.
      return false
    } catch {
      throw failure(.remove, path, error)
    }
  }

  /// Creates a directory and its missing parents, for a key that ends in `/`.
  package func makeDirectory(_ path: RelativePath) throws(TreeError) {
    _ = try openMakingDirectories(path)
  }

  /// Opens a directory and creates missing ones on the way, never through a symbolic link.
  func openMakingDirectories(_ path: RelativePath) throws(TreeError) -> any Descriptor {
    if path.isRoot { return descriptor }
    do {
      return try openDirectory(path, symlinks: .skip)
    } catch .noSuchFileOrDirectory {
      // Created below.
    } catch {
      throw failure(.createDirectory, path, error)
    }
    let parent = try openMakingDirectories(path.parent)
    let name = String(path.name)
    do {
      do {
        try parent.makeDirectory(name, mode: 0o777)
      } catch .fileExists {
        // Another download created the name first. The open shows whether it is a directory.
      }
      return try parent.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    } catch {
      throw failure(.createDirectory, path, error)
    }
  }
}
