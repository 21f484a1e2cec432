import MirrorModel

/// The watched directories as a tree of names, and which watch descriptor belongs to which.
///
/// Nodes know their parent, so that renaming a directory moves all below it by changing one link; a path is
/// made from the links when an event needs it. A descriptor stands for an inode, a node for a name: the kernel
/// answers with the same descriptor when a directory is met again under another name.
package struct WatchTable: Sendable {
  package struct NodeID: Hashable, Sendable {
    fileprivate let number: Int
  }

  package struct Node: Sendable {
    package fileprivate(set) var name: RelativePath
    /// Nil for the root.
    package fileprivate(set) var parent: NodeID?
    package fileprivate(set) var children: [RelativePath: NodeID] = [:]
    /// Nil while the directory is not watched.
    package fileprivate(set) var descriptor: Int32?
    /// Whether the files below were given out as events after the watch was in place. False for what lay there at
    /// the start, which reconciliation compares.
    package var isAnnounced = false
    /// Why events about this directory cannot be trusted to be complete.
    package fileprivate(set) var trouble: RescanReason?
    /// Type of the filesystem, as statfs(2) has it.
    package fileprivate(set) var filesystem: UInt32 = 0
    /// Which filesystem, as statfs(2) has it; 0 where that is not known.
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

  /// The directory's path; of a detached one, the path that it had.
  package func path(of id: NodeID) -> RelativePath {
    var names: [String] = []
    var current = nodes[id]
    while let node = current, let parent = node.parent {
      names.append(node.name.string)
      current = nodes[parent]
    }
    return RelativePath(names.reversed().joined(separator: "/"))
  }

  /// The directory that a path leads to, as far as the table knows.
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

  /// Whether the directory is reached from its parent; one that was moved away and not yet met again is not.
  package func isAttached(_ id: NodeID) -> Bool {
    guard let node = nodes[id] else { return false }
    guard let parent = node.parent else { return true }
    return nodes[parent]?.children[node.name] == id
  }
}

extension WatchTable {
  /// Makes a node without a watch. A node that has the name already is returned instead.
  package mutating func attach(_ name: RelativePath, under parent: NodeID) -> NodeID {
    if let known = child(name, of: parent) { return known }
    precondition(nodes[parent] != nil, "no parent for \(name)")
    let id = NodeID(number: nextNumber)
    nextNumber += 1
    nodes[id] = Node(name: name, parent: parent)
    nodes[parent]?.children[name] = id
    return id
  }

  /// Binds a descriptor that has no other owner.
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

  /// The first directory of the filesystem that the directory is on, as far as that is known: the place of its mount.
  package func mountPoint(of id: NodeID) -> NodeID {
    guard let filesystem = nodes[id]?.filesystemID, filesystem != 0 else { return id }
    var current = id
    while let above = nodes[current]?.parent, nodes[above]?.filesystemID == filesystem { current = above }
    // Then the root itself is on it, and has a record of its own.
    return current == Self.root ? id : current
  }

  package mutating func setAnnounced(_ id: NodeID) {
    nodes[id]?.isAnnounced = true
  }

  /// Takes the name away and keeps the directory, its watches and its former path: it was moved, and where to is not known yet.
  package mutating func detach(_ id: NodeID) {
    guard isAttached(id), let node = nodes[id], let parent = node.parent else { return }
    nodes[parent]?.children[node.name] = nil
  }

  /// Gives a directory another place, with all below it.
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

  /// Forgets a directory and all below it.
  ///
  /// - Returns: The descriptors that are free now, for inotify_rm_watch(2).
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
