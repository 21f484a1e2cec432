/// A symbolic link that leads to a regular file inside of the root. Its object has that file's content
/// (LINK-7).
package struct Pointer: Sendable, Hashable {
  /// The file to which the link leads in the end. It is no link.
  package var target: RelativePath
  /// The link's own ctime, in nanoseconds since 1970-01-01 UTC. If the link leads to another file since, the
  /// file may be older than the link's object.
  package var changed: Int64

  package init(target: RelativePath, changed: Int64) {
    self.target = target
    self.changed = changed
  }
}

/// The pointers of a tree, as far as events, passes and comparisons have found them.
///
/// The content of a pointer's object changes whenever its target is published anew, and no event bears the
/// pointer's name then. So a pass that takes a target also takes the pointers to it.
package struct PointerTable: Sendable {
  private struct Known: Sendable {
    /// Nil if the link leads nowhere, to a directory, or out of the root.
    var target: RelativePath?
    /// The version of the target that a comparison has covered.
    var reckoning = Reckoning.none
  }

  /// The limit of pointers. At about 250 bytes each they take at most 25 MB. The comparison at exit finds
  /// what changed behind the others.
  static let capacity = 100_000

  private var links: [RelativePath: Known] = [:]
  private var byTarget: [RelativePath: Set<RelativePath>] = [:]
  /// Links that lead to no file now.
  private var astray: Set<RelativePath> = []

  package init() {}

  package var isEmpty: Bool { links.isEmpty }

  package func contains(_ path: RelativePath) -> Bool { links[path] != nil }

  /// The files to which links lead.
  package var targets: Set<RelativePath> { Set(byTarget.keys) }

  /// Keeps a link that a walk or a pass found. A comparison covers the version that its walk found.
  mutating func note(_ path: RelativePath, leadingTo target: RelativePath?, _ reckoning: Reckoning? = nil) {
    guard links[path] != nil || links.count < Self.capacity else { return }
    let kept = reckoning ?? links[path]?.reckoning ?? .none
    forget(path)
    links[path] = Known(target: target, reckoning: kept)
    guard let target else {
      astray.insert(path)
      return
    }
    byTarget[target, default: []].insert(path)
  }

  mutating func forget(_ path: RelativePath) {
    astray.remove(path)
    guard let known = links.removeValue(forKey: path), let target = known.target else { return }
    byTarget[target]?.remove(path)
    if byTarget[target]?.isEmpty == true { byTarget[target] = nil }
  }

  /// The pointers among paths, and the files to which they lead.
  func targets(of paths: Set<RelativePath>) -> [RelativePath: RelativePath] {
    if links.isEmpty { return [:] }
    return paths.reduce(into: [:]) { found, path in found[path] = links[path]?.target }
  }

  /// The links that may lead to another version because these paths changed.
  func concerned(by paths: some Collection<RelativePath>) -> Set<RelativePath> {
    if links.isEmpty { return [] }
    return paths.reduce(into: astray) { found, path in
      if let links = byTarget[path] { found.formUnion(links) }
    }
  }

  var all: Set<RelativePath> { Set(links.keys) }

  func covers(_ stamp: FileStamp, of path: RelativePath) -> Bool {
    links[path]?.reckoning.coversContent(of: stamp) ?? false
  }
}

extension AliasTable {
  /// Keeps a link that a walk found.
  ///
  /// - Parameter stamp: the stamp of the target, if the walk's comparison covers the link.
  package mutating func note(
    pointer path: RelativePath, leadingTo target: RelativePath?, _ stamp: FileStamp?, at wallClock: Int64
  ) {
    pointers.note(path, leadingTo: target, Reckoning(stamp, at: wallClock))
  }
}
