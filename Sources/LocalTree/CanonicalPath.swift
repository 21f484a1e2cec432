import Glibc
import SystemPackage

/// The path with the symbolic links of its existing beginning resolved (realpath(3)); what does not exist yet is
/// kept as it is.
package func canonicalPath(_ path: FilePath) -> FilePath {
  var existing = path
  var missing: [FilePath.Component] = []
  while true {
    // SAFETY: realpath allocates the result, which is freed here after it was copied; one thread.
    if let resolved = realpath(existing.string, nil) {
      defer { free(resolved) }
      return FilePath(String(cString: resolved)).appending(missing.reversed())
    }
    guard let last = existing.lastComponent, existing.removeLastComponent() else { return path }
    missing.append(last)
  }
}
