import LocalTree
import SystemPackage
import TransferLog

/// The folders in which a mirror keeps files of its own while it runs. If such a folder lies below a root, it
/// is not part of the mirror.
struct OwnFolders: Sendable {
  /// The folder of the transfer logs.
  let log: FilePath
  /// `$XDG_CACHE_HOME/s3mirror`, the folder of evidence.
  let cache: FilePath
  /// The folders of host locks and control sockets.
  private let runtime: [FilePath]

  init(options: Options, process: ProcessEnvironment, placement: LocalPlacement) {
    let home = FilePath(process.homeDirectory)
    log =
      options.logDirectory.map { placement.absolute($0) }
      ?? defaultLogDirectory(environment: process.variables, home: home)
    cache = EvidencePlace.cache(environment: process.variables, home: home)
    runtime =
      [HostLock.directory(environment: process.variables)]
      + ControlPlaces(environment: process.variables, home: home).all
  }

  /// The folders below a root, relative to it. The root itself is never one of them: if a user mirrors such a
  /// folder, it counts.
  ///
  /// - Parameter root: a path without symbolic links.
  func below(_ root: FilePath) -> [FilePath] {
    ([log, cache] + runtime).compactMap { folder in
      var path = canonicalPath(folder)
      return path != root && path.removePrefix(root) ? path : nil
    }
  }
}
