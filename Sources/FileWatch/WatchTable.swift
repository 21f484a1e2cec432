import MirrorModel

/// The watched directories as a tree of names, with the watch descriptor of each.
///
/// Nodes know their parent, so a rename of a directory changes one link and moves everything below it. A path
/// is made from the links when an event needs it. A descriptor belongs to an inode and a node to a name: if a
/// directory is found again under another name, the kernel returns the same descriptor.
package struct WatchTable: Sendable {
  package struct NodeID: Hashable, Sendable {
    fileprivate let number: Int
  }

  package struct Node: Sendable {
    package fileprivate(set) var name: RelativePath
    /// Nil for the root.
    package fileprivate(set) var parent: NodeID?
    package fileprivate(set) var children: [RelativePath: NodeID] = [:]
    /// Nil if the directory is not watched.
    package fileprivate(set) var descriptor: Int32?
    /// Whether the files below were reported as events after the watch was set. False for directories that
    /// existed at the start, which reconciliation compares.
    package var isAnnounced = false
    /// Why the events of this directory may be incomplete.
    package fileprivate(set) var trouble: RescanReason?
    /// The type of the filesystem, from statfs(2).
    package fileprivate(set) var filesystem: UInt32 = 0
    /// The identifier of the filesystem, from statfs(2); 0 if unknown.
    package fileprivate(set) var filesystemID: UInt64 = 0
  }

  package static let root = NodeID(number: 0)

  private var nodes: [NodeID: Node] = [root: Node(name: .root)]
  private var owners: [Int32: NodeID] = [:]
  private var nextNumber = 1
  /// The nodes whose `trouble` is not nil.
  package private(set) var troubled: Set<NodeID> = []

  package init() {}

  package var descriptorCount: Int { owners.count }
  package var descriptors: Set<Int32> { Set(owners.keys) }

  package subscript(id: NodeID) -> Node? { nodes[id] }

  package func owner(of descriptor: Int32) -> NodeID? { owners[descriptor] }

  package func child(_ name: RelativePath, of parent: NodeID) -> NodeID? { nodes[parent]?.children[name] }

  /// The directory's path; for a detached directory, its former path.
  package func path(of id: NodeID) -> RelativePath {
    var names: [String] = []
    var current = nodes[id]
    while let node = current, let parent = node.parent {
      names.append(node.name.string)
      current = nodes[parent]
    }
    return RelativePath(names.reversed().joined(separator: "/"))
  }

  /// The directory at a path, if the table knows it.
  package func node(at path: RelativePath) -> NodeID? {
    var current = Self.root
    for name in path.string.utf8.split(separator: UInt8(ascii: "/")) {
      guard let next = child(RelativePath(String(Substring(name))), of: current) else { return nil }
      current = next
    }
    return current
  }

  package func isWithin(_ id: NodeID, _ ancestor: NodeID) -> Bool {
    var current: NodeID? = id
    while let next = current {
      if next == ancestor { return true }
      current = nodes[next]?.parent
    }
    return false
  }

  /// Whether the directory can be reached from its parent. A directory that was moved away and not yet found
  /// again cannot.
  package func isAttached(_ id: NodeID) -> Bool {
    guard let node = nodes[id] else { return false }
    guard let parent = node.parent else { return true }
    return nodes[parent]?.children[node.name] == id
  }
}

extension WatchTable {
  /// Creates a node without a watch. An existing node of that name is returned instead.
  package mutating func attach(_ name: RelativePath, under parent: NodeID) -> NodeID {
    if let known = child(name, of: parent) { return known }
    precondition(nodes[parent] != nil, "no parent for \(name)")
    let id = NodeID(number: nextNumber)
    nextNumber += 1
    nodes[id] = Node(name: name, parent: parent)
    nodes[parent]?.children[name] = id
    return id
  }

  /// Binds a descriptor that no other node owns.
  package mutating func setDescriptor(_ descriptor: Int32, of id: NodeID) {
    precondition(
      owners[descriptor] == nil || owners[descriptor] == id, "descriptor \(descriptor) has an owner")
    if let old = nodes[id]?.descriptor { owners[old] = nil }
    owners[descriptor] = id
    nodes[id]?.descriptor = descriptor
  }

  package mutating func clearDescriptor(of id: NodeID) {
    guard let descriptor = nodes[id]?.descriptor else { return }
    owners[descriptor] = nil
    nodes[id]?.descriptor = nil
  }

  package mutating func setTrouble(_ trouble: RescanReason?, of id: NodeID) {
    nodes[id]?.trouble = trouble
    if trouble == nil { troubled.remove(id) } else { troubled.insert(id) }
  }

  package mutating func setFilesystem(_ type: UInt32, identifier: UInt64 = 0, of id: NodeID) {
    nodes[id]?.filesystem = type
    nodes[id]?.filesystemID = identifier
  }

  /// The uppermost known directory of the filesystem that the directory is on, which is its mount point.
  package func mountPoint(of id: NodeID) -> NodeID {
    guard let filesystem = nodes[id]?.filesystemID, filesystem != 0 else { return id }
    var current = id
    while let above = nodes[current]?.parent, nodes[above]?.filesystemID == filesystem { current = above }
    // In this case the root itself is on the filesystem, and a record of its own reports the unmount.
    return current == Self.root ? id : current
  }

  package mutating func setAnnounced(_ id: NodeID) {
    nodes[id]?.isAnnounced = true
  }

  /// Removes the name and keeps the directory, its watches and its former path. The directory was moved, and
  /// its new place is not known yet.
  package mutating func detach(_ id: NodeID) {
    guard isAttached(id), let node = nodes[id], let parent = node.parent else { return }
    nodes[parent]?.children[node.name] = nil
  }

  /// Moves a directory and everything below it to another place.
  ///
  /// - Precondition: the new place is free and does not lie below the directory itself.
  package mutating func move(_ id: NodeID, to name: RelativePath, under parent: NodeID) {
    precondition(!isWithin(parent, id) && nodes[parent] != nil, "no place for \(name)")
    precondition(child(name, of: parent) == nil, "\(name) is taken")
    detach(id)
    nodes[id]?.parent = parent
    nodes[id]?.name = name
    nodes[parent]?.children[name] = id
  }

  /// Forgets a directory and everything below it.
  ///
  /// - Returns: the freed descriptors, for inotify_rm_watch(2).
  package mutating func remove(_ id: NodeID) -> [Int32] {
    detach(id)
    var freed: [Int32] = []
    var rest = [id]
    while let next = rest.popLast() {
      guard let node = nodes.removeValue(forKey: next) else { continue }
      troubled.remove(next)
      if let descriptor = node.descriptor {
        owners[descriptor] = nil
        freed.append(descriptor)
      }
      rest.append(contentsOf: node.children.values)
    }
    return freed
  }
}
