import MirrorModel

/// A filesystem in memory, with what inotify tells of it: enough for random tests of the dirty set.
struct ModelTree {
  typealias ID = Int

  struct File: Hashable {
    var inode: ID
    /// Which write was the last; every write of the run has its own number.
    var version: Int
    /// Which rename brought it, or a directory above it, to its place.
    var moved = 0
    /// Someone has it open for writing.
    var isOpen = false
    /// What a commit marker names: the whole files below its directory when it was written.
    var names: [RelativePath: File] = [:]
  }

  enum Node {
    case file(File)
    case directory(ID)
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

  private(set) var directories: [ID: [String: Node]] = [Self.root: [:]]
  private(set) var records: [Record] = []
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

  func file(at path: RelativePath) -> File? {
    guard case .file(let file) = node(at: path) else { return nil }
    return file
  }

  func directory(at path: RelativePath) -> ID? {
    guard case .directory(let id) = node(at: path) else { return nil }
    return id
  }

  func files(below path: RelativePath = .root) -> [RelativePath: File] {
    guard let id = directory(at: path), let children = directories[id] else { return [:] }
    var found: [RelativePath: File] = [:]
    for (name, node) in children {
      switch node {
      case .file(let file): found[path.appending(name)] = file
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

  mutating func write(_ path: RelativePath, closing: Bool, isMarker: Bool) {
    guard let parent = directory(at: path.parent), directory(at: path) == nil else { return }
    let name = String(path.name)
    let known = file(at: path)
    var file = known ?? File(inode: number(), version: 0)
    file.version = number()
    file.isOpen = !closing
    if isMarker {
      file.names = [:]
      for (below, data) in files(below: path.parent) where !data.isOpen && data.names.isEmpty && below != path
      {
        file.names[
          RelativePath(String(below.string.dropFirst(path.parent.isRoot ? 0 : path.parent.string.count + 1)))] =
          data
      }
    }
    directories[parent]?[name] = .file(file)
    if known == nil { records.append(.created(parent, name)) }
    records.append(.modified(parent, name))
    if closing { records.append(.closed(parent, name)) }
  }

  mutating func close(_ path: RelativePath) {
    guard let parent = directory(at: path.parent), var file = file(at: path), file.isOpen else { return }
    file.isOpen = false
    directories[parent]?[String(path.name)] = .file(file)
    records.append(.closed(parent, String(path.name)))
  }

  mutating func touch(_ path: RelativePath) {
    guard let parent = directory(at: path.parent), file(at: path) != nil else { return }
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
  }

  mutating func rename(_ from: RelativePath, _ to: RelativePath) {
    guard !from.isRoot, !to.isRoot, from != to, !to.isWithin(from), let node = node(at: from),
      let old = directory(at: from.parent), let new = directory(at: to.parent)
    else { return }
    let (name, newName) = (String(from.name), String(to.name))
    switch node {
    case .file:
      guard directory(at: to) == nil else { return }
    case .directory:
      if file(at: to) != nil { return }
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
    case .file: records.append(.renamed(from: old, name, to: new, newName))
    case .directory(let id): records.append(.directoryRenamed(id, from: old, name, to: new, newName))
    }
  }

  private mutating func noteMoved(_ path: RelativePath, by rename: Int) {
    guard let parent = directory(at: path.parent) else { return }
    if var file = file(at: path) {
      file.moved = rename
      directories[parent]?[String(path.name)] = .file(file)
    } else if let id = directory(at: path) {
      for child in (directories[id] ?? [:]).keys { noteMoved(path.appending(child), by: rename) }
    }
  }

  /// To somewhere outside of the tree.
  mutating func moveAway(_ path: RelativePath) {
    guard !path.isRoot, let parent = directory(at: path.parent), let node = node(at: path) else { return }
    directories[parent]?[String(path.name)] = nil
    switch node {
    case .file: records.append(.deleted(parent, String(path.name)))
    case .directory(let id): records.append(.directoryMovedAway(id, from: parent, String(path.name)))
    }
  }

  /// A directory from elsewhere, with files of which no record tells.
  mutating func moveIn(_ path: RelativePath, files: [String]) {
    guard let parent = directory(at: path.parent), node(at: path) == nil else { return }
    let id = number()
    directories[id] = [:]
    for name in files {
      let file = File(inode: number(), version: number())
      directories[id]?[name] = .file(file)
    }
    directories[parent]?[String(path.name)] = .directory(id)
    records.append(.directoryCreated(parent, String(path.name)))
  }

  mutating func loseRecords() { records = [] }

  private mutating func number() -> Int {
    lastNumber += 1
    return lastNumber
  }
}
