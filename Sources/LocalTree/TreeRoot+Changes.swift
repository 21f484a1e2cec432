import Glibc
import MirrorModel
import SystemPackage

/// What a download changes in a tree besides the files it puts in place.
extension TreeRoot {
  /// Removes a file or symbolic link (the link, not what it points to). That it is gone already is no error; a directory is.
  package func remove(_ path: RelativePath) throws(TreeError) {
    do {
      let parent = try openParent(of: path)
      _ = try uninterrupted { unlinkat(parent.raw, String(path.name), 0) }
    } catch .noSuchFileOrDirectory, .notDirectory {
      return
    } catch {
      throw failure(.remove, path, error)
    }
  }

  /// Removes a directory if nothing is in it.
  ///
  /// - Returns: whether the directory is gone; false when something is in it.
  @discardableResult
  package func removeEmptyDirectory(_ path: RelativePath) throws(TreeError) -> Bool {
    do {
      let parent = try openParent(of: path)
      _ = try uninterrupted { unlinkat(parent.raw, String(path.name), AT_REMOVEDIR) }
      return true
    } catch .noSuchFileOrDirectory {
      return true
    } catch .directoryNotEmpty, .fileExists {
      // rmdir(2) allows either errno.
      return false
    } catch {
      throw failure(.remove, path, error)
    }
  }

  /// Makes a directory and those above it, as far as they are missing, for a key that ends in `/`.
  package func makeDirectory(_ path: RelativePath) throws(TreeError) {
    _ = try openMakingDirectories(path)
  }

  /// Opens a directory and makes what is missing on the way, never through a symbolic link.
  func openMakingDirectories(_ path: RelativePath) throws(TreeError) -> OpenDescriptor {
    if path.isRoot { return descriptor }
    do {
      return try openDirectory(path, symlinks: .skip)
    } catch .noSuchFileOrDirectory {
      // Made below.
    } catch {
      throw failure(.createDirectory, path, error)
    }
    let parent = try openMakingDirectories(path.parent)
    let name = String(path.name)
    do {
      do {
        _ = try uninterrupted { mkdirat(parent.raw, name, 0o777) }
      } catch .fileExists {
        // Another download was first; the open tells whether it is a directory.
      }
      return try OpenDescriptor(at: parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    } catch {
      throw failure(.createDirectory, path, error)
    }
  }
}
