import MirrorModel

// Files of several names, and links to what lies outside of the tree.
extension ModelTree {
  /// link(2).
  mutating func link(_ from: RelativePath, _ to: RelativePath) {
    guard let name = name(at: from), let parent = directory(at: to.parent), node(at: to) == nil else {
      return
    }
    let now = number()
    inodes[name.inode]?.linkCount += 1
    inodes[name.inode]?.changed = now
    directories[parent]?[String(to.name)] = .file(Name(inode: name.inode, number: now, moved: now))
    records.append(.created(parent, String(to.name)))
  }

  /// symlink(2), to something outside of the tree.
  mutating func symlink(_ path: RelativePath, to target: String) {
    guard let parent = directory(at: path.parent), node(at: path) == nil else { return }
    let now = number()
    directories[parent]?[String(path.name)] = .symbolicLink(Link(target: target, moved: now))
    records.append(.created(parent, String(path.name)))
  }

  /// symlink(2), to a path inside of the tree.
  mutating func point(_ path: RelativePath, at target: RelativePath) {
    guard let parent = directory(at: path.parent), node(at: path) == nil else { return }
    let now = number()
    directories[parent]?[String(path.name)] = .symbolicLink(Link(inside: target, moved: now))
    records.append(.created(parent, String(path.name)))
  }

  /// The file inside of the tree to which a link leads, by way of other links too.
  func pointee(of path: RelativePath) -> RelativePath? {
    var place = path
    for _ in 0..<8 {
      switch node(at: place) {
      case .file: return place == path ? nil : place
      case .symbolicLink(let link):
        guard let next = link.inside else { return nil }
        place = next
      case .directory, nil: return nil
      }
    }
    return nil
  }

  /// Where a link leads, without following another link.
  func directTarget(of path: RelativePath) -> RelativePath? {
    if case .symbolicLink(let link) = node(at: path) { link.inside } else { nil }
  }

  func isPointer(_ path: RelativePath) -> Bool {
    if case .symbolicLink(let link) = node(at: path) { link.inside != nil } else { false }
  }

  /// The nearest symbolic link above a path.
  func linkAbove(_ path: RelativePath) -> (path: RelativePath, Link)? {
    for place in path.ancestors {
      if case .symbolicLink(let link) = node(at: place) { return (place, link) }
    }
    return nil
  }

  private func isDirectory(outside target: String) -> Bool {
    if case .directory = outside[target] { true } else { false }
  }

  /// Whether nothing here stands for the object of a path. A link that leads nowhere stands for all that lay behind it.
  func isAbsent(forObjectAt path: RelativePath) -> Bool {
    if file(at: path) != nil { return false }
    if case .symbolicLink(let link) = node(at: path) { return isDirectory(outside: link.target) }
    return linkAbove(path).map { $0.1.inside == nil && outside[$0.1.target] != nil } ?? true
  }

  /// Whether a path is a link to a directory, or lies behind one: what is deleted there is found by a comparison only.
  func isBehindDirectoryLink(_ path: RelativePath) -> Bool {
    if case .symbolicLink(let link) = node(at: path) { return isDirectory(outside: link.target) }
    return linkAbove(path).map { isDirectory(outside: $0.1.target) } ?? false
  }

  /// The links below a directory.
  func links(below path: RelativePath = .root) -> [RelativePath] {
    guard let id = directory(at: path), let children = directories[id] else { return [] }
    return children.flatMap { name, node -> [RelativePath] in
      switch node {
      case .file: []
      case .symbolicLink: [path.appending(name)]
      case .directory: links(below: path.appending(name))
      }
    }
  }

  // MARK: Outside of the tree; no record tells of it

  /// Writes a file there. A name with a slash is one in a directory, which is made.
  mutating func writeOutside(_ name: String) {
    let inode = number()
    inodes[inode] = Inode(version: 0, changed: 0)
    store(in: inode)
    let parts = name.split(separator: "/").map(String.init)
    guard parts.count > 1 else {
      guard !isDirectory(outside: name) else { return }
      // In place: who has the file by other names sees it too.
      if case .file(let known) = outside[name] { store(in: known) } else { outside[name] = .file(inode) }
      return
    }
    var children: [String: ID] = [:]
    if case .directory(let known) = outside[parts[0]] { children = known }
    if let known = children[parts[1]] { store(in: known) } else { children[parts[1]] = inode }
    outside[parts[0]] = .directory(children)
  }

  mutating func removeOutside(_ name: String) {
    outside[name] = nil
  }
}
