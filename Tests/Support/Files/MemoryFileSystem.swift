import CLinux
import Glibc
import LocalTree
import Synchronization
import SystemPackage

/// A filesystem in memory, for a mirror (`FileSystem`) and for the programs beside it (`ProgramFiles`).
///
/// A test can stop a mirror at any of its system calls: `whenCalled` sets what happens just before, a change by
/// another program or a failure of the call. It behaves as `MemoryTree` says, with local files, whole leases, and
/// stamps that show every write.
package final class MemoryFileSystem: Sendable {
  /// A system call of the mirror.
  package struct Call: Sendable, Hashable, CustomStringConvertible {
    package var name: String
    /// As the call has it: relative to a directory, and empty for a file that is open.
    package var path: String

    package var description: String { path.isEmpty ? name : "\(name) \(path)" }
  }

  /// Acts just before a call. An error fails the call.
  package typealias Act = @Sendable (Call) throws(Errno) -> Void

  struct Handle {
    let inode: UInt64
    let isWriter: Bool
    /// The names that getdents64(2) has not returned yet; nil before the first call.
    var unread: [[UInt8]]?
    var lease = CInt(F_UNLCK)
  }

  struct State {
    var tree: MemoryTree
    var handles: [Int: Handle] = [:]
    var lastHandle = 0
    var act: Act?
  }

  let state: Mutex<State>

  /// - Parameter clock: the time in nanoseconds since 1970, for stamps.
  package init(clock: @escaping @Sendable () -> Int64) {
    state = Mutex(State(tree: MemoryTree(clock: clock)))
    do {
      // The same text as on a machine with one disk.
      try write("/proc/self/mountinfo", "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
      try makeDirectories(PrivateCopy.standardDirectory)
    } catch {
      preconditionFailure("an empty filesystem takes every name: \(error)")
    }
  }

  /// Sets what happens before each system call of the mirror; nil for nothing.
  package func whenCalled(_ act: Act?) { state.withLock { $0.act = act } }

  /// The regular files below a directory.
  package func files(below directory: String) -> [String] {
    state.withLock { state in
      state.tree.files().filter { state.tree.nodes[$0.inode]?.kind == S_IFREG }
        .map { String(decoding: $0.path, as: UTF8.self) }.filter { $0.hasPrefix(directory + "/") }
    }
  }

  /// The names of the files that are open, each as often as it is.
  package var openPaths: [String] {
    state.withLock { state in
      let inodes = state.handles.values.map(\.inode)
      return state.tree.files().flatMap { path, inode in
        inodes.filter { $0 == inode }.map { _ in String(decoding: path, as: UTF8.self) }
      }
    }
  }

  func reach(_ name: String, _ path: String = "") throws(Errno) {
    // Without the lock: what happens now may change files.
    if let act = state.withLock({ $0.act }) { try act(Call(name: name, path: path)) }
  }

  /// Makes a mirror's system call.
  func call<Value: Sendable>(
    _ name: String, _ path: String = "", _ body: (inout State) throws(Errno) -> Value
  ) throws(Errno) -> Value {
    try reach(name, path)
    return try state.withLock { (state) throws(Errno) in try body(&state) }
  }
}

extension MemoryFileSystem: FileSystem {
  package func open(_ path: String, _ flags: CInt) throws(Errno) -> any Descriptor {
    try call("open", path) { state throws(Errno) in
      MemoryDescriptor(try state.open(Array(path.utf8), from: MemoryTree.root, flags, mode: 0), in: self)
    }
  }

  package func status(of path: String) throws(Errno) -> stat {
    try call("stat", path) { state throws(Errno) in
      try state.tree.status(state.tree.find(Array(path.utf8), from: MemoryTree.root, .followsLast))
    }
  }

  package func checkAccess(_ path: String, _ mode: CInt) throws(Errno) {
    try call("faccessat", path) { state throws(Errno) in
      let inode = try state.tree.find(Array(path.utf8), from: MemoryTree.root, .followsLast)
      let wanted = mode_t(mode) << 6
      if try state.tree.node(inode).mode & wanted != wanted { throw .permissionDenied }
    }
  }

  package func resolved(_ path: String) -> String? {
    // No system call of its own: realpath(3) is a call for each name.
    state.withLock { state in
      do throws(Errno) {
        let place = try state.tree.resolve(Array(path.utf8), from: MemoryTree.root, .followsLast)
        guard let inode = place.inode else { return nil }
        var bytes = try state.tree.path(of: place.directory)
        if inode != place.directory { bytes += [UInt8(ascii: "/")] + place.name }
        return bytes.isEmpty ? "/" : String(decoding: bytes, as: UTF8.self)
      } catch {
        return nil
      }
    }
  }
}

extension MemoryFileSystem.State {
  /// Opens or makes a file. Returns the number of the new descriptor.
  mutating func open(
    _ path: [UInt8], from start: UInt64, _ flags: CInt, mode: mode_t, beneath: Bool = false
  ) throws(Errno) -> Int {
    let isPath = flags & S3M_O_PATH != 0
    let isWriter = !isPath && flags & O_ACCMODE != O_RDONLY
    if !isPath, flags & S3M_O_TMPFILE == S3M_O_TMPFILE {
      let directory = try tree.find(path, from: start, .followsLast)
      guard try tree.node(directory).isDirectory else { throw .notDirectory }
      return try add(tree.add(mode: S_IFREG | mode), isWriter: isWriter)
    }
    var lookup: MemoryTree.Lookup = flags & O_NOFOLLOW != 0 ? [] : .followsLast
    if beneath { lookup.insert(.beneath) }
    if flags & O_CREAT != 0 { lookup.insert(.creates) }
    if isPath, flags & O_NOFOLLOW != 0 { lookup.insert(.wantsLink) }
    var place = try tree.resolve(path, from: start, lookup)
    if place.inode != nil, flags & O_CREAT != 0, flags & O_EXCL != 0 { throw .fileExists }
    if place.inode == nil {
      guard flags & O_CREAT != 0 else { throw .noSuchFileOrDirectory }
      place.inode = try tree.makeFile(
        [UInt8](place.name), from: place.directory, mode: mode & ~0o022)
    }
    guard let inode = place.inode else { throw .noSuchFileOrDirectory }
    let node = try tree.node(inode)
    if flags & O_DIRECTORY != 0, !node.isDirectory { throw .notDirectory }
    if node.kind == S_IFLNK, !(isPath && flags & O_NOFOLLOW != 0) { throw .tooManySymbolicLinkLevels }
    if !isPath {
      if isWriter, node.isDirectory { throw .isDirectory }
      let wanted: mode_t =
        switch flags & O_ACCMODE {
        case O_RDONLY: 0o400
        case O_WRONLY: 0o200
        default: 0o600
        }
      if node.mode & wanted != wanted { throw .permissionDenied }
    }
    if isWriter, flags & O_TRUNC != 0 { try tree.truncate(inode, to: 0) }
    return try add(inode, isWriter: isWriter)
  }

  private mutating func add(_ inode: UInt64, isWriter: Bool) throws(Errno) -> Int {
    if isWriter {
      // The kernel would let the writer wait until the lease is returned, which mirrors do at once.
      for (number, handle) in handles where handle.inode == inode { handles[number]?.lease = CInt(F_UNLCK) }
    }
    try tree.change(inode) { node in
      node.opens += 1
      if isWriter { node.writers += 1 }
    }
    lastHandle += 1
    handles[lastHandle] = MemoryFileSystem.Handle(inode: inode, isWriter: isWriter)
    return lastHandle
  }

  mutating func close(_ number: Int) {
    guard let handle = handles.removeValue(forKey: number) else { return }
    // A node stays as long as it is open.
    _ = Result { () throws(Errno) in
      try tree.change(handle.inode) { node in
        node.opens -= 1
        if handle.isWriter { node.writers -= 1 }
        if node.lock == number { node.lock = nil }
      }
    }
    tree.collect(handle.inode)
  }

  func handle(_ number: Int) throws(Errno) -> MemoryFileSystem.Handle {
    guard let handle = handles[number] else { throw .badFileDescriptor }
    return handle
  }
}
