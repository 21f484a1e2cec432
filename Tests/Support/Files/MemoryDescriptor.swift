import CLinux
import Glibc
import LocalTree
import SystemPackage

/// An open file or directory of a `MemoryFileSystem`, with the system calls of a mirror.
final class MemoryDescriptor: Descriptor {
  private let number: Int
  private let files: MemoryFileSystem

  init(_ number: Int, in files: MemoryFileSystem) {
    self.number = number
    self.files = files
  }

  deinit { files.state.withLock { $0.close(number) } }

  // MARK: Names in a directory

  func open(_ name: UnsafePointer<CChar>, _ flags: CInt, mode: mode_t) throws(Errno) -> any Descriptor {
    try call("openat", name) { state, name, inode throws(Errno) in
      MemoryDescriptor(try state.open(name, from: inode, flags, mode: mode), in: files)
    }
  }

  func open(beneath path: UnsafePointer<CChar>, _ flags: CInt) throws(Errno) -> any Descriptor {
    try call("openat2", path) { state, path, inode throws(Errno) in
      MemoryDescriptor(try state.open(path, from: inode, flags, mode: 0, beneath: true), in: files)
    }
  }

  func status(of name: UnsafePointer<CChar>, flags: CInt) throws(Errno) -> stat {
    try call("fstatat", name) { state, name, inode throws(Errno) in
      try state.tree.status(state.tree.find(name, from: inode, Self.lookup(flags)))
    }
  }

  func mount(at name: UnsafePointer<CChar>, flags: CInt) throws(Errno) -> s3m_mounted {
    try call("statx", name) { state, name, inode throws(Errno) in
      let found = try state.tree.find(name, from: inode, Self.lookup(flags))
      return s3m_mounted(
        mount: 1, inode: found, major: 8, minor: 1, birth: try state.tree.node(found).birth,
        is_mount: found == MemoryTree.root ? 1 : 0)
    }
  }

  func readLink(
    _ name: UnsafePointer<CChar>, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let text = try call("readlinkat", name) { state, name, inode throws(Errno) in
      let node = try state.tree.node(state.tree.find(name, from: inode, []))
      guard node.kind == S_IFLNK else { throw .invalidArgument }
      return node.bytes
    }
    return Self.copy(text[...], to: buffer)
  }

  func readDirectory(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    let records = try call("getdents64") { state, inode throws(Errno) in
      let node = try state.tree.node(inode)
      guard node.isDirectory else { throw .notDirectory }
      if node.links == 0 { throw .noSuchFileOrDirectory }
      let unread =
        try state.handle(number).unread
        ?? [[UInt8(ascii: ".")], Array("..".utf8)]
        + node.names.keys.sorted { $1.lexicographicallyPrecedes($0) }
      var records: [UInt8] = []
      var count = 0
      for name in unread {
        let kind =
          try node.names[name].map { inode throws(Errno) in try state.tree.node(inode).kind } ?? S_IFDIR
        let record = Self.record(name, kind)
        if records.count + record.count > buffer.count { break }
        records += record
        count += 1
      }
      state.handles[number]?.unread = Array(unread.dropFirst(count))
      return records
    }
    return Self.copy(records[...], to: buffer)
  }

  func makeDirectory(_ name: UnsafePointer<CChar>, mode: mode_t) throws(Errno) {
    try call("mkdirat", name) { state, name, inode throws(Errno) in
      try state.tree.makeDirectory(name, from: inode, mode: mode & ~0o022)
    }
  }

  func makeLink(_ name: UnsafePointer<CChar>, text: UnsafePointer<CChar>) throws(Errno) {
    let text = Self.bytes(text)
    try call("symlinkat", name) { state, name, inode throws(Errno) in
      try state.tree.makeLink(name, from: inode, text: text)
    }
  }

  func unlink(_ name: UnsafePointer<CChar>, flags: CInt) throws(Errno) {
    try call("unlinkat", name) { state, name, inode throws(Errno) in
      try state.tree.unlink(name, from: inode, isDirectory: flags & AT_REMOVEDIR != 0)
    }
  }

  func rename(
    _ name: UnsafePointer<CChar>, to directory: any Descriptor, _ other: UnsafePointer<CChar>
  ) throws(Errno) {
    guard let directory = directory as? MemoryDescriptor, directory.files === files else {
      throw .improperLink
    }
    let other = Self.bytes(other)
    try call("renameat", name) { state, name, inode throws(Errno) in
      try state.tree.rename(
        name, from: inode, to: other, from: state.handle(directory.number).inode)
    }
  }

  func setModified(_ nanoseconds: Int64, of name: UnsafePointer<CChar>) throws(Errno) {
    try call("utimensat", name) { state, name, inode throws(Errno) in
      try state.tree.setModified(state.tree.find(name, from: inode, []), to: nanoseconds)
    }
  }

  // MARK: The content

  func status() throws(Errno) -> stat {
    try call("fstat") { state, inode throws(Errno) in try state.tree.status(inode) }
  }

  /// ext4.
  func filesystemMagic() throws(Errno) -> UInt32 {
    try call("fstatfs") { _, _ in 0xEF53 }
  }

  func freeSpace() throws(Errno) -> Int64? {
    try call("fstatvfs") { _, _ in Int64.max }
  }

  func readOnce(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    try read("pread", at: offset, into: buffer)
  }

  func readCached(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    try read("preadv2", at: offset, into: buffer)
  }

  private func read(
    _ name: String, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let wanted = buffer.count
    let bytes = try call(name) { state, inode throws(Errno) in
      let node = try state.tree.node(inode)
      if node.isDirectory { throw .isDirectory }
      return node.bytes.dropFirst(Int(offset)).prefix(wanted)
    }
    return Self.copy(bytes, to: buffer)
  }

  func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Errno) -> Int {
    let bytes = Array(bytes)
    try call("pwrite") { state, inode throws(Errno) in
      guard try state.handle(number).isWriter else { throw .badFileDescriptor }
      try state.tree.write(bytes, to: inode, at: Int(offset))
    }
    return bytes.count
  }

  func truncate(to byteCount: Int64) throws(Errno) {
    try call("ftruncate") { state, inode throws(Errno) in try state.tree.truncate(inode, to: Int(byteCount)) }
  }

  func allocate(_ byteCount: Int64) throws(Errno) {
    try call("fallocate") { state, inode throws(Errno) in
      if try state.tree.node(inode).bytes.count < Int(byteCount) {
        try state.tree.truncate(inode, to: Int(byteCount))
      }
    }
  }

  func synchronize() throws(Errno) { try call("fdatasync") { _, _ in } }

  func setModified(_ nanoseconds: Int64) throws(Errno) {
    try call("futimens") { state, inode throws(Errno) in try state.tree.setModified(inode, to: nanoseconds) }
  }

  func advise(_ offset: Int64, _ byteCount: Int64, _ advice: CInt) {}

  /// As on ext4.
  func clone(_ source: any Descriptor) throws(Errno) {
    try call("ioctl") { _, _ throws(Errno) in throw .notSupported }
  }

  // MARK: Other processes

  func lock(_ operation: CInt) throws(Errno) {
    try call("flock") { state, inode throws(Errno) in
      let holder = try state.tree.node(inode).lock
      if operation & LOCK_UN != 0 {
        if holder == number { try state.tree.change(inode) { $0.lock = nil } }
        return
      }
      if let holder, holder != number { throw .wouldBlock }
      try state.tree.change(inode) { $0.lock = number }
    }
  }

  func setLease(_ kind: CInt) throws(Errno) {
    try call("fcntl") { state, inode throws(Errno) in
      let current = try state.handle(number).lease
      if kind == CInt(F_UNLCK) {
        if current == kind { throw .resourceTemporarilyUnavailable }
      } else if try state.tree.node(inode).writers > 0 {
        throw .resourceTemporarilyUnavailable
      }
      state.handles[number]?.lease = kind
    }
  }

  func lease() throws(Errno) -> CInt {
    try call("fcntl") { state, _ throws(Errno) in try state.handle(number).lease }
  }

  func setLeaseSignal(_ signal: CInt) throws(Errno) { try call("fcntl") { _, _ in } }

  /// inotify(7) sees only the kernel's files.
  func addWatch(to instance: CInt, _ mask: UInt32) throws(Errno) -> CInt {
    try call("inotify_add_watch") { _, _ throws(Errno) in throw .notSupported }
  }

  /// Nothing is mounted here later.
  func hasPriorityEvent() -> Bool { false }

  // MARK: Parts

  private func call<Value: Sendable>(
    _ call: String, _ name: UnsafePointer<CChar>,
    _ body: (inout MemoryFileSystem.State, [UInt8], UInt64) throws(Errno) -> Value
  ) throws(Errno) -> Value {
    let name = Self.bytes(name)
    return try files.call(call, String(decoding: name, as: UTF8.self)) { state throws(Errno) in
      try body(&state, name, state.handle(number).inode)
    }
  }

  private func call<Value: Sendable>(
    _ call: String, _ body: (inout MemoryFileSystem.State, UInt64) throws(Errno) -> Value
  ) throws(Errno) -> Value {
    try files.call(call) { state throws(Errno) in try body(&state, state.handle(number).inode) }
  }

  private static func lookup(_ flags: CInt) -> MemoryTree.Lookup {
    flags & AT_SYMLINK_NOFOLLOW != 0 ? [] : .followsLast
  }

  private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
    UnsafeRawBufferPointer(start: text, count: strlen(text)).map { $0 }
  }

  private static func copy(_ bytes: ArraySlice<UInt8>, to buffer: UnsafeMutableRawBufferPointer) -> Int {
    buffer.copyBytes(from: bytes.prefix(buffer.count))
    return min(bytes.count, buffer.count)
  }

  /// struct linux_dirent64 of getdents64(2): d_ino (8 bytes), d_off (8), d_reclen (2), d_type (1), d_name.
  private static func record(_ name: [UInt8], _ kind: mode_t) -> [UInt8] {
    let length = (19 + name.count + 1 + 7) / 8 * 8
    // The types of readdir(3) are the mode's bits of the kind.
    let head =
      [UInt8](repeating: 1, count: 16) + [UInt8(length & 0xFF), UInt8(length >> 8), UInt8(kind >> 12)]
    return head + name + [UInt8](repeating: 0, count: length - 19 - name.count)
  }
}
