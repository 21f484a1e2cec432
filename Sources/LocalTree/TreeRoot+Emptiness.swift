import MirrorModel
import SystemPackage

extension TreeRoot {
  /// Whether no entry of a directory can have a key. Links that are not followed, special files and excluded
  /// entries do not count. Nil if there is no directory at the path.
  ///
  /// The function stops at the first entry that counts, because directories can be huge.
  package func isEmptyDirectory(_ path: RelativePath, filter: PathFilter) throws(TreeError) -> Bool? {
    var isEmpty = true
    var fault: TreeError?
    do throws(Errno) {
      try forEachName(in: path) { name, kind throws(Errno) in
        // A name that is not UTF-8 has no key, but it counts as an entry. The comparison reports it.
        guard let name else {
          isEmpty = false
          return false
        }
        do throws(TreeError) {
          isEmpty = try !counts(path.appending(name), kind, filter)
        } catch {
          fault = error
        }
        return isEmpty && fault == nil
      }
    } catch let cause where cause.meansNoTarget {
      // The path is gone, has become a link, or lies behind one.
      return nil
    } catch {
      throw failure(.list, path, error)
    }
    if let fault { throw fault }
    return isEmpty
  }

  private func counts(
    _ path: RelativePath, _ kind: EntryKind?, _ filter: PathFilter
  ) throws(TreeError) -> Bool {
    var kind = kind
    if kind == nil || (kind == .symbolicLink && symlinks != .skip) {
      kind = try look(at: path)?.kind
    }
    switch kind {
    case .symbolicLink? where symlinks == .link: return !filter.excludes(path, .file)
    case .file?, .directory?: return kind.map { !filter.excludes(path, $0) } ?? false
    case .symbolicLink?, .special?, nil: return false
    }
  }
}
