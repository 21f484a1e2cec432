import SystemPackage

extension FileSystem {
  /// Resolves the symbolic links in the existing beginning of a path. The rest, which does not exist yet, is
  /// kept.
  package func canonicalPath(_ path: FilePath) -> FilePath {
    var existing = path
    var missing: [FilePath.Component] = []
    while true {
      if let resolved = resolved(existing.string) { return FilePath(resolved).appending(missing.reversed()) }
      guard let last = existing.lastComponent, existing.removeLastComponent() else { return path }
      missing.append(last)
    }
  }
}

/// The same for this machine's files.
package func canonicalPath(_ path: FilePath) -> FilePath { KernelFileSystem().canonicalPath(path) }
