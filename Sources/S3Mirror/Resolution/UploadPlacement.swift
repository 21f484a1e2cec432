import LocalTree
import MirrorModel
import S3Client
import SystemPackage

/// How a local side stands for its remote: a directory under the prefix; a file under the key, or in a prefix that is
/// written with a slash.
struct UploadPlacement: Sendable {
  /// The directory that is walked and watched. As it was named: where a link on the way leads elsewhere one day, that is
  /// another root.
  var root: FilePath
  var mapping: KeyMapping
  var filter: PathFilter
  var symlinks: SymlinkPolicy
  var emptyDirectories: Options.EmptyDirectories

  /// - Throws: `TreeError` where the local side cannot be seen.
  init(_ place: ResolvedSpec, options: Options) throws {
    symlinks = options.symlinks.policy
    guard try kind(at: place.named) == .file, let name = place.named.lastComponent?.string else {
      root = place.named
      mapping = .tree(prefix: place.location.prefix)
      filter = try place.filter.leavingOut(temporaries: options.temporaryNames)
      emptyDirectories = options.emptyDirectories
      return
    }
    root = place.named.removingLastComponent()
    let location = place.location
    mapping = .file(
      name: RelativePath(name), key: location.isExplicitPrefix ? location.prefix + name : location.key)
    // A file that is named counts, whatever is excluded. Everything beside it is excluded, so that only its own events are seen.
    filter = try PathFilter(exclude: [], include: ["/" + GlobPattern.escaped(name)])
    // A link that is named counts too, under its own name.
    if try isLink(place.named) { symlinks = .follow }
    // The key of one file is no directory's.
    emptyDirectories = .skip
  }
}
