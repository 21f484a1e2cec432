import LocalTree
import MirrorModel
import S3Client
import SystemPackage

/// How a local path corresponds to its remote: a directory to a prefix; a file to a key, or to a key in a
/// prefix that ends in a slash.
struct UploadPlacement: Sendable {
  /// The directory that is walked and watched, as the user named it. If a link in the path later leads
  /// elsewhere, the root is another one.
  var root: FilePath
  var mapping: KeyMapping
  var filter: PathFilter
  var symlinks: SymlinkPolicy
  var emptyDirectories: Options.EmptyDirectories

  /// - Throws: `TreeError` if the local side cannot be read.
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
    // A file that the user names is uploaded whatever is excluded. Everything beside the file is excluded, so
    // that only its own events are reported.
    filter = try PathFilter(exclude: [], include: ["/" + GlobPattern.escaped(name)])
    // A link that the user names is uploaded too, under its own name.
    if try isLink(place.named) { symlinks = .follow }
    // A single file has no directory markers.
    emptyDirectories = .skip
  }
}
