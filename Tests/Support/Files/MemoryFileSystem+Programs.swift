import Glibc
import Synchronization
import SystemPackage

extension MemoryFileSystem: ProgramFiles {
  package func open(_ path: String, _ options: OpenOptions) throws(Errno) -> any ProgramFile {
    let flags =
      O_WRONLY | (options.contains(.create) ? O_CREAT : 0) | (options.contains(.exclusively) ? O_EXCL : 0)
      | (options.contains(.emptied) ? O_TRUNC : 0)
    return try act(path) { state, path throws(Errno) in
      let number = try state.open(path, from: MemoryTree.root, flags, mode: 0o644)
      return MemoryFile(number, isAtEnd: options.contains(.atEnd), in: self)
    }
  }

  package func write(_ text: String, to path: String, _ options: OpenOptions) throws(Errno) {
    let file = try open(path, options)
    defer { file.close() }
    try file.write(text)
  }

  package func makeDirectory(_ path: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.makeDirectory(path, from: MemoryTree.root, mode: 0o755)
    }
  }

  package func remove(_ path: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.unlink(path, from: MemoryTree.root, isDirectory: false)
    }
  }

  package func removeDirectory(_ path: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.unlink(path, from: MemoryTree.root, isDirectory: true)
    }
  }

  package func rename(_ path: String, to other: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.rename(path, from: MemoryTree.root, to: Array(other.utf8), from: MemoryTree.root)
    }
  }

  package func exchange(_ path: String, with other: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.exchange(path, with: Array(other.utf8), from: MemoryTree.root)
    }
  }

  package func link(_ path: String, to other: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.link(path, from: MemoryTree.root, to: Array(other.utf8), from: MemoryTree.root)
    }
  }

  package func symlink(_ path: String, to text: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.makeLink(path, from: MemoryTree.root, text: Array(text.utf8))
    }
  }

  package func changeMode(_ path: String, _ mode: UInt32) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      try state.tree.changeMode(state.tree.find(path, from: MemoryTree.root, .followsLast), mode)
    }
  }

  package func touch(_ path: String) throws(Errno) {
    try act(path) { state, path throws(Errno) in
      let inode = try state.tree.find(path, from: MemoryTree.root, .followsLast)
      try state.tree.setModified(inode, to: state.tree.stamp())
    }
  }

  package func truncate(_ path: String, to byteCount: Int) throws(Errno) {
    let file = try open(path, [])
    defer { file.close() }
    try file.truncate(to: byteCount)
  }

  package func status(_ path: String) throws(Errno) -> ProgramStatus {
    try act(path) { state, path throws(Errno) in
      ProgramStatus(try state.tree.status(state.tree.find(path, from: MemoryTree.root, [])))
    }
  }

  package func read(_ path: String) throws(Errno) -> [UInt8] {
    try act(path) { state, path throws(Errno) in
      let node = try state.tree.node(state.tree.find(path, from: MemoryTree.root, .followsLast))
      if node.isDirectory { throw .isDirectory }
      if node.mode & 0o400 == 0 { throw .permissionDenied }
      return node.bytes
    }
  }

  package func readLink(_ path: String) throws(Errno) -> String {
    try act(path) { state, path throws(Errno) in
      let node = try state.tree.node(state.tree.find(path, from: MemoryTree.root, []))
      guard node.kind == S_IFLNK else { throw .invalidArgument }
      return String(decoding: node.bytes, as: UTF8.self)
    }
  }

  package func names(in path: String) throws(Errno) -> [String] {
    try act(path) { state, path throws(Errno) in
      let node = try state.tree.node(state.tree.find(path, from: MemoryTree.root, .followsLast))
      guard node.isDirectory else { throw .notDirectory }
      if node.mode & 0o400 == 0 { throw .permissionDenied }
      return node.names.keys.map { String(decoding: $0, as: UTF8.self) }.sorted()
    }
  }

  /// Makes a program's system call, at which no test stops.
  private func act<Value: Sendable>(
    _ path: String, _ body: (inout State, [UInt8]) throws(Errno) -> Value
  ) throws(Errno) -> Value {
    try state.withLock { (state) throws(Errno) in try body(&state, Array(path.utf8)) }
  }
}

private final class MemoryFile: ProgramFile {
  private struct Position {
    /// Nil once the file is closed.
    var number: Int?
    var offset = 0
  }

  private let position: Mutex<Position>
  private let isAtEnd: Bool
  private let files: MemoryFileSystem

  init(_ number: Int, isAtEnd: Bool, in files: MemoryFileSystem) {
    position = Mutex(Position(number: number))
    self.isAtEnd = isAtEnd
    self.files = files
  }

  deinit { close() }

  func write(_ text: String) throws(Errno) {
    try use { position, inode, tree throws(Errno) in
      if isAtEnd { position.offset = try tree.node(inode).bytes.count }
      let bytes = Array(text.utf8)
      // write(2) of nothing changes nothing.
      if bytes.isEmpty { return }
      try tree.write(bytes, to: inode, at: position.offset)
      position.offset += bytes.count
    }
  }

  func truncate(to byteCount: Int) throws(Errno) {
    try use { _, inode, tree throws(Errno) in try tree.truncate(inode, to: byteCount) }
  }

  func close() {
    guard let number = position.withLock({ $0.number.take() }) else { return }
    files.state.withLock { $0.close(number) }
  }

  private func use(
    _ body: (inout Position, UInt64, inout MemoryTree) throws(Errno) -> Void
  ) throws(Errno) {
    try position.withLock { (position) throws(Errno) in
      guard let number = position.number else { throw .badFileDescriptor }
      try files.state.withLock { (state) throws(Errno) in
        try body(&position, state.handle(number).inode, &state.tree)
      }
    }
  }
}
