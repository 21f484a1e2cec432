import Glibc
import SystemPackage

/// Resolves the symbolic links in the existing beginning of a path (realpath(3)). The rest, which does not
/// exist yet, is kept.
package func canonicalPath(_ path: FilePath) -> FilePath {
  var existing = path
  var missing: [FilePath.Component] = []
  while true {
    // SAFETY: realpath allocates the result. It is copied and then freed here, on one thread.
    if let resolved = realpath(existing.string, nil) {
      defer { free(resolved) }
      return FilePath(String(cString: resolved)).appending(missing.reversed())
    }
    guard let last = existing.lastComponent, existing.removeLastComponent() else { return path }
    missing.append(last)
  }
}
