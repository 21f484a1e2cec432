import Glibc
import SystemPackage

/// The inodes and names of a filesystem in memory, and what each system call does to them.
///
/// It behaves as ext4 does for a user without privileges. Where Linux leaves a choice, it takes the one that is hardest
/// for a program: the number of a removed inode is given to the next new file, stamps move on only with the kernel's
/// tick, and a directory lists its names backwards.
struct MemoryTree {
  struct Node {
    /// Kind and permissions, as in `st_mode`.
    var mode: mode_t
    var links = 0
    /// The content of a file, or the text of a link.
    var bytes: [UInt8] = []
    var names: [[UInt8]: UInt64] = [:]
    /// The directory above a directory.
    var parent: UInt64 = 0
    var modified: Int64
    var changed: Int64
    let birth: Int64
    /// How many descriptors it has, and how many of them can write.
    var opens = 0
    var writers = 0
    /// The descriptor that holds its flock(2).
    var lock: Int?

    var kind: mode_t { mode & S_IFMT }
    var isDirectory: Bool { kind == S_IFDIR }
  }

  /// What a path leads to.
  struct Place {
    /// The directory that holds the last name.
    var directory: UInt64
    var name: [UInt8]
    /// Nil if nothing has the name.
    var inode: UInt64?
  }

  struct Lookup: OptionSet {
    let rawValue: Int
    /// A link at the end is followed.
    static let followsLast = Lookup(rawValue: 1)
    /// RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS of openat2(2).
    static let beneath = Lookup(rawValue: 2)
    /// The link at the end itself is wanted (O_PATH with O_NOFOLLOW).
    static let wantsLink = Lookup(rawValue: 4)
    /// O_CREAT, which makes no directory.
    static let creates = Lookup(rawValue: 8)
  }

  static let root: UInt64 = 2
  /// As many as the kernel follows in one path (path_resolution(7)).
  private static let mostLinks = 40
  /// The kernel's tick with HZ=250, in nanoseconds: stamps move on only so often.
  private static let tick: Int64 = 4_000_000
  /// No tick is at a whole millisecond, as dates of objects are: a mirror takes a file of such a time for a download.
  private static let phase: Int64 = 123_457

  private(set) var nodes: [UInt64: Node] = [:]
  private var freed: [UInt64] = []
  private var next: UInt64 = MemoryTree.root
  private var lastStamp: Int64 = 0
  /// The time in nanoseconds since 1970.
  private let clock: @Sendable () -> Int64

  init(clock: @escaping @Sendable () -> Int64) {
    self.clock = clock
    let root = add(mode: S_IFDIR | 0o755)
    nodes[root]?.links = 2
    nodes[root]?.parent = root
  }

  /// The present time, as a stamp has it.
  mutating func stamp() -> Int64 {
    let now = clock()
    lastStamp = max(lastStamp, now - (now - Self.phase) % Self.tick)
    return lastStamp
  }

  // MARK: Inodes

  func node(_ inode: UInt64) throws(Errno) -> Node {
    guard let node = nodes[inode] else { throw .staleNFSFileHandle }
    return node
  }

  mutating func change(_ inode: UInt64, _ body: (inout Node) -> Void) throws(Errno) {
    var node = try node(inode)
    body(&node)
    nodes[inode] = node
  }

  mutating func add(mode: mode_t) -> UInt64 {
    let inode: UInt64
    if let reused = freed.min() {
      freed.removeAll { $0 == reused }
      inode = reused
    } else {
      inode = next
      next += 1
    }
    let now = stamp()
    nodes[inode] = Node(mode: mode, modified: now, changed: now, birth: now)
    return inode
  }

  /// Frees an inode that has neither a name nor a descriptor.
  mutating func collect(_ inode: UInt64) {
    guard let node = nodes[inode], node.links == 0, node.opens == 0 else { return }
    nodes[inode] = nil
    freed.append(inode)
  }

  // MARK: Paths

  func resolve(_ path: [UInt8], from start: UInt64, _ lookup: Lookup) throws(Errno) -> Place {
    if path.isEmpty { throw .noSuchFileOrDirectory }
    if path.count >= 4_096 { throw .fileNameTooLong }
    var current = start
    if path.first == UInt8(ascii: "/") {
      if lookup.contains(.beneath) { throw .improperLink }
      current = Self.root
    }
    var rest = Self.names(in: path)[...]
    /// A slash at the end asks for a directory.
    var wantsDirectory = path.last == UInt8(ascii: "/")
    var links = 0
    var place = Place(directory: current, name: [UInt8(ascii: ".")], inode: current)
    while let name = rest.popFirst() {
      let directory = try node(current)
      guard directory.isDirectory else { throw .notDirectory }
      if directory.mode & 0o100 == 0 { throw .permissionDenied }
      if name == Array("..".utf8) {
        if lookup.contains(.beneath), current == start { throw .improperLink }
        current = directory.parent
        place = Place(directory: current, name: name, inode: current)
        continue
      }
      if rest.isEmpty, wantsDirectory, lookup.contains(.creates) { throw .isDirectory }
      if name.count > 255 { throw .fileNameTooLong }
      place = Place(directory: current, name: name, inode: directory.names[name])
      guard let inode = place.inode else {
        if rest.isEmpty { return place }
        throw .noSuchFileOrDirectory
      }
      let found = try node(inode)
      if found.kind == S_IFLNK, !rest.isEmpty || wantsDirectory || lookup.contains(.followsLast) {
        if lookup.contains(.beneath), !(rest.isEmpty && lookup.contains(.wantsLink)) {
          throw .tooManySymbolicLinkLevels
        }
        links += 1
        if links > Self.mostLinks { throw .tooManySymbolicLinkLevels }
        if rest.isEmpty, found.bytes.last == UInt8(ascii: "/") { wantsDirectory = true }
        rest = (Self.names(in: found.bytes) + rest)[...]
        if found.bytes.first == UInt8(ascii: "/") { current = Self.root }
        place = Place(directory: current, name: [UInt8(ascii: ".")], inode: current)
        continue
      }
      if !rest.isEmpty, !found.isDirectory { throw .notDirectory }
      current = inode
    }
    if wantsDirectory, let inode = place.inode, try !node(inode).isDirectory { throw .notDirectory }
    return place
  }

  /// The inode at a path.
  func find(_ path: [UInt8], from start: UInt64, _ lookup: Lookup) throws(Errno) -> UInt64 {
    guard let inode = try resolve(path, from: start, lookup).inode else { throw .noSuchFileOrDirectory }
    return inode
  }

  /// The components, without those that lead nowhere.
  private static func names(in path: [UInt8]) -> [[UInt8]] {
    path.split(separator: UInt8(ascii: "/")).filter { $0 != [UInt8(ascii: ".")] }.map { Array($0) }
  }

  /// The path of a directory.
  func path(of inode: UInt64) throws(Errno) -> [UInt8] {
    if inode == Self.root { return [] }
    let parent = try node(inode).parent
    guard let name = try node(parent).names.first(where: { $0.value == inode })?.key else {
      throw .noSuchFileOrDirectory
    }
    return try path(of: parent) + [UInt8(ascii: "/")] + name
  }

  /// The path of each name of a file.
  func files() -> [(path: [UInt8], inode: UInt64)] {
    func below(_ directory: UInt64, _ path: [UInt8]) -> [(path: [UInt8], inode: UInt64)] {
      (nodes[directory]?.names ?? [:]).flatMap { name, inode in
        let full = path + [UInt8(ascii: "/")] + name
        return nodes[inode]?.isDirectory == true ? below(inode, full) : [(full, inode)]
      }
    }
    return below(Self.root, [])
  }

  // MARK: Names

  /// Gives a free name in a directory to an inode.
  private mutating func enter(_ inode: UInt64, at place: Place) throws(Errno) {
    try setName(at: place, to: inode, isThere: true)
  }

  private mutating func leave(_ inode: UInt64, from place: Place) throws(Errno) {
    try setName(at: place, to: inode, isThere: false)
  }

  private mutating func setName(at place: Place, to inode: UInt64, isThere: Bool) throws(Errno) {
    let now = stamp()
    let step = isThere ? 1 : -1
    let isDirectory = try node(inode).isDirectory
    try change(place.directory) { directory in
      directory.names[place.name] = isThere ? inode : nil
      // The entry `..` of a directory is a link to the one above.
      if isDirectory { directory.links += step }
      (directory.modified, directory.changed) = (now, now)
    }
    try change(inode) { node in
      node.links += step
      node.changed = now
      if isDirectory, isThere { node.parent = place.directory }
    }
  }

  /// The place of a name that is free.
  private func free(_ path: [UInt8], from start: UInt64) throws(Errno) -> Place {
    let place = try resolve(path, from: start, [])
    if place.inode != nil { throw .fileExists }
    try checkWritable(place.directory)
    return place
  }

  private func checkWritable(_ directory: UInt64) throws(Errno) {
    let node = try node(directory)
    // A removed directory takes no names.
    if node.links == 0 { throw .noSuchFileOrDirectory }
    if node.mode & 0o300 != 0o300 { throw .permissionDenied }
  }

  mutating func makeFile(_ path: [UInt8], from start: UInt64, mode: mode_t) throws(Errno) -> UInt64 {
    let place = try free(path, from: start)
    if path.last == UInt8(ascii: "/") { throw .isDirectory }
    let inode = add(mode: S_IFREG | mode)
    try enter(inode, at: place)
    return inode
  }

  mutating func makeDirectory(_ path: [UInt8], from start: UInt64, mode: mode_t) throws(Errno) {
    let place = try free(path, from: start)
    let inode = add(mode: S_IFDIR | mode)
    try change(inode) { $0.links = 1 }
    try enter(inode, at: place)
  }

  mutating func makeLink(_ path: [UInt8], from start: UInt64, text: [UInt8]) throws(Errno) {
    if text.isEmpty { throw .noSuchFileOrDirectory }
    let place = try free(path, from: start)
    if path.last == UInt8(ascii: "/") { throw .noSuchFileOrDirectory }
    let inode = add(mode: S_IFLNK | 0o777)
    try change(inode) { $0.bytes = text }
    try enter(inode, at: place)
  }

  /// link(2): a link is not followed.
  mutating func link(_ path: [UInt8], from start: UInt64, to other: [UInt8], from: UInt64) throws(Errno) {
    let inode = try find(path, from: start, [])
    let place = try free(other, from: from)
    if try node(inode).isDirectory { throw .notPermitted }
    try enter(inode, at: place)
  }

  mutating func unlink(_ path: [UInt8], from start: UInt64, isDirectory: Bool) throws(Errno) {
    let place = try resolve(path, from: start, [])
    guard let inode = place.inode else { throw .noSuchFileOrDirectory }
    if place.name == [UInt8(ascii: ".")] || place.name == Array("..".utf8) { throw .invalidArgument }
    try checkWritable(place.directory)
    let node = try node(inode)
    if isDirectory {
      guard node.isDirectory else { throw .notDirectory }
      guard node.names.isEmpty else { throw .directoryNotEmpty }
      try leave(inode, from: place)
      try change(inode) { $0.links = 0 }
    } else {
      if node.isDirectory { throw .isDirectory }
      try leave(inode, from: place)
    }
    collect(inode)
  }

  mutating func rename(
    _ path: [UInt8], from start: UInt64, to other: [UInt8], from otherStart: UInt64
  ) throws(Errno) {
    let from = try resolve(path, from: start, [])
    let to = try resolve(other, from: otherStart, [])
    guard let inode = from.inode else { throw .noSuchFileOrDirectory }
    try checkMove(inode, to.directory)
    try checkWritable(from.directory)
    try checkWritable(to.directory)
    if let present = to.inode {
      if present == inode { return }
      let (moved, replaced) = (try node(inode), try node(present))
      if try isInside(from.directory, present) { throw .directoryNotEmpty }
      if moved.isDirectory, !replaced.isDirectory { throw .notDirectory }
      if !moved.isDirectory, replaced.isDirectory { throw .isDirectory }
      if !replaced.names.isEmpty { throw .directoryNotEmpty }
      try leave(present, from: to)
      if replaced.isDirectory { try change(present) { $0.links = 0 } }
      collect(present)
    }
    try leave(inode, from: from)
    try enter(inode, at: to)
  }

  mutating func exchange(_ path: [UInt8], with other: [UInt8], from start: UInt64) throws(Errno) {
    let (one, two) = (try resolve(path, from: start, []), try resolve(other, from: start, []))
    guard let first = one.inode, let second = two.inode else { throw .noSuchFileOrDirectory }
    try checkMove(first, two.directory)
    try checkMove(second, one.directory)
    if first == second { return }
    try leave(first, from: one)
    try leave(second, from: two)
    try enter(first, at: two)
    try enter(second, at: one)
  }

  /// A directory cannot be moved below itself.
  private func checkMove(_ inode: UInt64, _ directory: UInt64) throws(Errno) {
    if try isInside(directory, inode) { throw .invalidArgument }
  }

  private func isInside(_ directory: UInt64, _ other: UInt64) throws(Errno) -> Bool {
    guard try node(other).isDirectory else { return false }
    var above = directory
    while above != other, above != Self.root { above = try node(above).parent }
    return above == other
  }
}
