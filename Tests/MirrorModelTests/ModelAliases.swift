import MirrorModel

/// The facts for the rules of aliases, from a model's tree and what it has published.
struct ModelAliases: AliasFacts {
  var table: AliasTable
  let tree: ModelTree
  let ledger: [RelativePath: ModelMirror.Record]
  /// Each write of a model has a stamp of its own, so all stamps are trusted.
  let wallClock = Int64.max

  mutating func withTable<Value: Sendable>(_ body: (inout AliasTable) -> Value) -> Value { body(&table) }

  func sight(of path: RelativePath) -> Sighting {
    if tree.linkAbove(path) != nil { return .unseen }
    switch tree.node(at: path) {
    case nil: return .nothing
    case .directory(let id): return .entry(.directory, Self.stamp(of: id))
    case .symbolicLink(let link): return .entry(.symbolicLink, Self.stamp(of: link.moved))
    case .file: return tree.file(at: path).map { .entry(.file, FileStamp($0)) } ?? .nothing
    }
  }

  func sight(behind path: RelativePath) -> Sighting {
    if let file = tree.file(at: path) { return .entry(.file, FileStamp(file)) }
    guard case .symbolicLink(let link) = tree.node(at: path) else { return sight(of: path) }
    return tree.isAbsent(forObjectAt: path)
      ? .entry(.directory, Self.stamp(of: link.moved)) : .entry(.symbolicLink, Self.stamp(of: link.moved))
  }

  func pointing(of path: RelativePath) -> Pointing {
    if tree.linkAbove(path) != nil { return .unseen }
    guard case .symbolicLink = tree.node(at: path) else { return .noLink }
    guard let target = tree.pointee(of: path), let file = tree.file(at: target) else { return .astray }
    return .file(target, FileStamp(file))
  }

  private static func stamp(of id: ModelTree.ID) -> FileStamp {
    FileStamp(device: 1, inode: UInt64(id), size: 0, modified: 0, changed: 0)
  }

  func glance(at path: RelativePath) -> FileStamp? {
    guard case .file = tree.node(at: path) else { return nil }
    return stamp(ofFileAt: path)
  }

  func stamp(ofFileAt path: RelativePath) -> FileStamp? { tree.file(at: path).map { FileStamp($0) } }

  func isWithoutWriter(_ path: RelativePath) -> Bool { tree.file(at: path)?.isOpen != true }

  func isPublished(_ path: RelativePath, _ stamp: FileStamp, _ allowance: StampAllowance) -> Bool {
    guard let record = ledger[path], !record.isSnapshot else { return false }
    var known = FileStamp(record.file)
    if allowance == .renamed { known.changed = stamp.changed }
    return known.isSameVersion(as: stamp)
  }

  func hasObject(_ path: RelativePath) -> Bool { ledger[path] != nil }

  func publishedPaths(of files: Set<AliasTable.File>) -> [RelativePath] {
    ledger.filter { files.contains(AliasTable.File(FileStamp($0.value.file))) }.keys.sorted()
  }
}

extension FileStamp {
  init(_ file: ModelTree.File) {
    self.init(
      device: 1, inode: UInt64(file.inode), size: 1, modified: Int64(file.version),
      changed: Int64(file.changed),
      links: UInt64(file.linkCount))
  }
}
