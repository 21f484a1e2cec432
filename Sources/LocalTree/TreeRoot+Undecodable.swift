import MirrorModel
import SystemPackage

extension TreeRoot {
  /// Whether a directory holds a name that is not UTF-8 and whose `RelativePath.escaping` is the last name of
  /// the path. Reads the directory.
  package func holdsUndecodable(_ path: RelativePath) throws(TreeError) -> Bool {
    let listing: DirectoryListing
    do {
      listing = try DirectoryListing(openDirectory(path.parent, symlinks: symlinks), symlinks: symlinks)
    } catch let cause where cause.meansAbsence(symlinks) {
      return false
    } catch {
      throw failure(.list, path.parent, error)
    }
    let name = path.name
    return listing.entries.contains { entry in
      let bytes = listing.name(of: entry)
      return String(validating: bytes, as: UTF8.self) == nil && RelativePath.escaping(bytes).string == name
    }
  }
}
