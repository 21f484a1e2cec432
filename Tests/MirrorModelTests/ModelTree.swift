import MirrorModel

/// A filesystem in memory, with what inotify tells of it: enough for random tests of the dirty set.
///
/// Files may have several names. Symbolic links lead to what lies outside of the tree, of which no record tells, or to paths inside.
struct ModelTree {
  typealias ID = Int

  /// A file as one of its names shows it.
  struct File: Hashable {
    var inode: ID
    /// Which of its names, wherever renames bring it.
    var name: ID
    /// Which write was the last; every write of the run has its own number.
    var version: Int
    /// Which rename brought it, or a directory above it, to its place.
    var moved = 0
    /// Someone has it open for writing.
    var isOpen = false
    /// What a commit marker names: the whole files below its directory when it was written.
    var names: [RelativePath: File] = [:]
    /// The last change of content or of names, as ctime.
    var changed = 0
    var linkCount = 1
  }

  /// A name of a file.
  struct Name {
    var inode: ID
    /// Which name it is, wherever renames bring it.
    var number: ID
    var moved = 0
  }

  enum Node {
    case file(Name)
    case directory(ID)
    case symbolicLink(Link)
  }

  /// A symbolic link.
  struct Link {
    /// Where it leads, outside of the tree.
    var target = ""
    /// Where it leads, inside of the tree.
    var inside: RelativePath?
    var moved: Int
  }

  struct Inode {
    var version: Int
    var changed: Int
    var linkCount = 1
    var writer = Writer.none
    var names: [RelativePath: File] = [:]
  }

  /// Who has a file open for writing.
  enum Writer: Hashable {
    case none
    /// By this name: what it does bears the name, while the name is there.
    case by(ID)
  }

  /// What lies outside of the tree.
  enum Outside {
    case file(ID)
    case directory([String: ID])
  }

  /// The kernel's record: it names directories by their inode, since it does not know paths.
  enum Record {
    case created(ID, String)
    case modified(ID, String)
    case closed(ID, String)
    case attributes(ID, String)
    case deleted(ID, String)
    case renamed(from: ID, String, to: ID, String)
    case directoryCreated(ID, String)
    case directoryDeleted(ID, String)
    case directoryRenamed(ID, from: ID, String, to: ID, String)
    case directoryMovedAway(ID, from: ID, String)
  }

  static let root: ID = 0

  var directories: [ID: [String: Node]] = [Self.root: [:]]
  var records: [Record] = []
  var inodes: [ID: Inode] = [:]
  var outside: [String: Outside] = [:]
  private var lastNumber = 0

  // MARK: Looking

  func node(at path: RelativePath) -> Node? {
    var node = Node.directory(Self.root)
    for name in path.string.split(separator: "/") {
      guard case .directory(let id) = node, let next = directories[id]?[String(name)] else { return nil }
      node = next
    }
    return node
  }

  /// The file that a path leads to, over links too.
  func file(at path: RelativePath) -> File? {
    switch node(at: path) {
    case .file(let name): return file(name)
    case .symbolicLink(let link):
      if let target = pointee(of: path), let name = name(at: target) {
        return file(Name(inode: name.inode, number: link.moved, moved: link.moved))
      }
      guard case .file(let inode) = outside[link.target] else { return nil }
      return file(Name(inode: inode, number: link.moved, moved: link.moved))
    case .directory: return nil
    case nil:
      guard let (place, link) = linkAbove(path), case .directory(let children) = outside[link.target] else {
        return nil
      }
      guard path.parent == place, let inode = children[String(path.name)] else { return nil }
      return file(Name(inode: inode, number: -inode, moved: link.moved))
    }
  }

  func file(_ name: Name) -> File? {
    inodes[name.inode].map { inode in
      File(
        inode: name.inode, name: name.number, version: inode.version, moved: name.moved,
        isOpen: inode.writer != .none,
        names: inode.names, changed: inode.changed, linkCount: inode.linkCount)
    }
  }

  func name(at path: RelativePath) -> Name? {
    guard case .file(let name) = node(at: path) else { return nil }
    return name
  }

  func directory(at path: RelativePath) -> ID? {
    guard case .directory(let id) = node(at: path) else { return nil }
    return id
  }

  /// The files below a directory, those behind links too.
  func files(below path: RelativePath = .root) -> [RelativePath: File] {
    if case .symbolicLink(let link) = node(at: path), case .directory(let children) = outside[link.target] {
      let places = children.keys.map { path.appending($0) }
      return Dictionary(places.compactMap { place in file(at: place).map { (place, $0) } }) { first, _ in
        first
      }
    }
    guard let id = directory(at: path), let children = directories[id] else { return [:] }
    var found: [RelativePath: File] = [:]
    for (name, node) in children {
      switch node {
      case .file(let known): found[path.appending(name)] = file(known)
      case .symbolicLink:
        let link = path.appending(name)
        found[link] = file(at: link)
        found.merge(files(below: link)) { first, _ in first }
      case .directory: found.merge(files(below: path.appending(name))) { first, _ in first }
      }
    }
    return found
  }

  // MARK: Changing; what is impossible does nothing

  mutating func takeRecords(_ count: Int) -> [Record] {
    let taken = Array(records.prefix(count))
    records.removeFirst(taken.count)
    return taken
  }

  /// Opens a file and replaces what it holds.
  ///
  /// - Parameter closing: whether it is closed then. It stays open all the same for a writer who has it open by another name.
  mutating func write(_ path: RelativePath, closing: Bool, isMarker: Bool) {
    guard let parent = directory(at: path.parent) else { return }
    let text = String(path.name)
    let name: Name
    var isNew = false
    switch node(at: path) {
    case .directory, .symbolicLink: return
    case .file(let known): name = known
    case nil:
      name = Name(inode: number(), number: number())
      inodes[name.inode] = Inode(version: 0, changed: 0)
      isNew = true
    }
    var names: [RelativePath: File] = [:]
    if isMarker {
      for (below, data) in files(below: path.parent)
      where !data.isOpen && data.names.isEmpty && below != path && pointee(of: below)?.name != path.name {
        let count = path.parent.isRoot ? 0 : path.parent.string.count + 1
        names[RelativePath(String(below.string.dropFirst(count)))] = data
      }
    }
    store(in: name.inode, names: names)
    let writer = inodes[name.inode]?.writer
    if writer == Writer.none || writer == .by(name.number) {
      inodes[name.inode]?.writer = closing ? .none : .by(name.number)
    }
    directories[parent]?[text] = .file(name)
    if isNew { records.append(.created(parent, text)) }
    records.append(.modified(parent, text))
    if closing { records.append(.closed(parent, text)) }
  }

  mutating func store(in inode: ID, names: [RelativePath: File] = [:]) {
    let version = number()
    inodes[inode]?.version = version
    inodes[inode]?.changed = version
    inodes[inode]?.names = names
  }

  /// Lets whoever has the file open write to it once more.
  mutating func writeOpen(_ path: RelativePath) {
    guard let file = file(at: path), file.isOpen, linkAbove(path) == nil else { return }
    store(in: file.inode, names: file.names)
    if let (parent, name) = placeOfWriter(of: file.inode) { records.append(.modified(parent, name)) }
  }

  mutating func close(_ path: RelativePath) {
    guard let file = file(at: path), file.isOpen, linkAbove(path) == nil else { return }
    // Of a name that is gone, or was moved away, nothing is told any more (`IN_EXCL_UNLINK`).
    if let (parent, name) = placeOfWriter(of: file.inode) { records.append(.closed(parent, name)) }
    inodes[file.inode]?.writer = Writer.none
  }

  mutating func closeAll() {
    for path in files().keys { close(path) }
  }

  /// Where the name is now by which a file is open.
  private func placeOfWriter(of inode: ID) -> (ID, String)? {
    guard case .by(let number)? = inodes[inode]?.writer else { return nil }
    for (directory, children) in directories {
      for case (let text, .file(let name)) in children where name.number == number {
        return (directory, text)
      }
    }
    return nil
  }

  mutating func dropName(_ name: Name) {
    let now = number()
    inodes[name.inode]?.linkCount -= 1
    inodes[name.inode]?.changed = now
    if inodes[name.inode]?.linkCount == 0 { inodes[name.inode] = nil }
  }

  mutating func touch(_ path: RelativePath) {
    guard let parent = directory(at: path.parent), name(at: path) != nil else { return }
    records.append(.attributes(parent, String(path.name)))
  }

  mutating func makeDirectory(_ path: RelativePath) {
    guard let parent = directory(at: path.parent), node(at: path) == nil else { return }
    let id = number()
    directories[id] = [:]
    directories[parent]?[String(path.name)] = .directory(id)
    records.append(.directoryCreated(parent, String(path.name)))
  }

  /// `rm -r`.
  mutating func remove(_ path: RelativePath) {
    guard !path.isRoot, let parent = directory(at: path.parent), let node = node(at: path) else { return }
    let name = String(path.name)
    if case .directory(let id) = node {
      for child in (directories[id] ?? [:]).keys.sorted() { remove(path.appending(child)) }
      directories[id] = nil
      records.append(.directoryDeleted(parent, name))
    } else {
      records.append(.deleted(parent, name))
    }
    directories[parent]?[name] = nil
    if case .file(let file) = node { dropName(file) }
  }

  mutating func rename(_ from: RelativePath, _ to: RelativePath) {
    guard !from.isRoot, !to.isRoot, from != to, !to.isWithin(from), let node = node(at: from),
      let old = directory(at: from.parent), let new = directory(at: to.parent)
    else { return }
    let (name, newName) = (String(from.name), String(to.name))
    switch (node, self.node(at: to)) {
    case (.file, .directory), (.symbolicLink, .directory): return
    // rename(2) does nothing where both are names of one file.
    case (.file(let one), .file(let other)) where one.inode == other.inode: return
    case (.file, let replaced), (.symbolicLink, let replaced):
      if case .file(let name) = replaced { dropName(name) }
    case (.directory, .file), (.directory, .symbolicLink): return
    case (.directory, _):
      // rename(2) replaces an empty directory.
      if let replaced = directory(at: to) {
        guard directories[replaced]?.isEmpty == true else { return }
        directories[replaced] = nil
      }
    }
    record(node, from: old, name, to: new, newName)
    directories[old]?[name] = nil
    directories[new]?[newName] = node
    noteMoved(to, by: number())
  }

  /// renameat2(2) with RENAME_EXCHANGE: two renames for the kernel, with no moment between them.
  mutating func exchange(_ one: RelativePath, _ other: RelativePath) {
    guard !one.isWithin(other), !other.isWithin(one), let node = node(at: one),
      let otherNode = self.node(at: other), let parent = directory(at: one.parent),
      let otherParent = directory(at: other.parent)
    else { return }
    let (name, otherName) = (String(one.name), String(other.name))
    record(node, from: parent, name, to: otherParent, otherName)
    record(otherNode, from: otherParent, otherName, to: parent, name)
    directories[parent]?[name] = otherNode
    directories[otherParent]?[otherName] = node
    for path in [one, other] { noteMoved(path, by: number()) }
  }

  private mutating func record(_ node: Node, from old: ID, _ name: String, to new: ID, _ newName: String) {
    switch node {
    case .file, .symbolicLink: records.append(.renamed(from: old, name, to: new, newName))
    case .directory(let id): records.append(.directoryRenamed(id, from: old, name, to: new, newName))
    }
  }

  private mutating func noteMoved(_ path: RelativePath, by rename: Int) {
    guard let parent = directory(at: path.parent) else { return }
    if case .symbolicLink(var link) = node(at: path) {
      link.moved = rename
      directories[parent]?[String(path.name)] = .symbolicLink(link)
    } else if var name = name(at: path) {
      name.moved = rename
      directories[parent]?[String(path.name)] = .file(name)
      inodes[name.inode]?.changed = rename
    } else if let id = directory(at: path) {
      for child in (directories[id] ?? [:]).keys { noteMoved(path.appending(child), by: rename) }
    }
  }

  /// To somewhere outside of the tree.
  mutating func moveAway(_ path: RelativePath) {
    guard !path.isRoot, let parent = directory(at: path.parent), let node = node(at: path) else { return }
    directories[parent]?[String(path.name)] = nil
    switch node {
    case .file, .symbolicLink: records.append(.deleted(parent, String(path.name)))
    case .directory(let id): records.append(.directoryMovedAway(id, from: parent, String(path.name)))
    }
  }

  /// A directory from elsewhere, with files of which no record tells.
  mutating func moveIn(_ path: RelativePath, files: [String]) {
    guard let parent = directory(at: path.parent), node(at: path) == nil else { return }
    let id = number()
    directories[id] = [:]
    for name in files {
      let file = Name(inode: number(), number: number())
      inodes[file.inode] = Inode(version: 0, changed: 0)
      store(in: file.inode)
      directories[id]?[name] = .file(file)
    }
    directories[parent]?[String(path.name)] = .directory(id)
    records.append(.directoryCreated(parent, String(path.name)))
  }

  mutating func loseRecords() { records = [] }

  mutating func number() -> Int {
    lastNumber += 1
    return lastNumber
  }
}
