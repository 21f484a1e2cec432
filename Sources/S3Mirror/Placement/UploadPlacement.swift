import MirrorModel
import S3Client
import SystemPackage

/// How a local side stands for its remote: a directory under the prefix; a file under the key, or in a prefix that is
/// written with a slash.
struct UploadPlacement: Sendable {
  /// The directory that is walked and watched.
  var root: FilePath
  var mapping: KeyMapping
  var filter: PathFilter

  /// - Parameter filter: what counts in a directory. A file that is named counts.
  /// - Throws: `MirrorError.local` where the local side cannot be seen; what `filter` throws.
  init(_ local: FilePath, at location: S3Location, filter: () throws -> PathFilter) throws {
    guard try kind(at: local) == .file, let name = local.lastComponent?.string else {
      root = local
      mapping = .tree(prefix: location.prefix)
      self.filter = try filter()
      return
    }
    root = local.removingLastComponent()
    let key = location.isExplicitPrefix ? location.prefix + name : location.key
    mapping = .file(name: RelativePath(name), key: key)
    // Everything beside the file is excluded, so that only its own events are seen.
    self.filter = try PathFilter(exclude: [], include: ["/" + GlobPattern.escaped(name)])
  }
}
