import SystemPackage

/// What programs do to files, on this machine's disk (`DiskFiles`) or in memory (`MemoryFileSystem`).
///
/// Paths are absolute. Each call is one system call or a few; what the system refuses is an `Errno`.
package protocol ProgramFiles: Sendable {
  /// open(2). The file is made if `options` say so, with mode 0644.
  func open(_ path: String, _ options: OpenOptions) throws(Errno) -> any ProgramFile
  /// Opens a file, writes all bytes and closes it. No other process has it open for writing then, unless one had before.
  func write(_ text: String, to path: String, _ options: OpenOptions) throws(Errno)
  func makeDirectory(_ path: String) throws(Errno)
  /// unlink(2).
  func remove(_ path: String) throws(Errno)
  /// rmdir(2).
  func removeDirectory(_ path: String) throws(Errno)
  func rename(_ path: String, to other: String) throws(Errno)
  /// renameat2(2) with RENAME_EXCHANGE.
  func exchange(_ path: String, with other: String) throws(Errno)
  func link(_ path: String, to other: String) throws(Errno)
  /// symlink(2).
  func symlink(_ path: String, to text: String) throws(Errno)
  func changeMode(_ path: String, _ mode: UInt32) throws(Errno)
  /// utimes(2) with the present time.
  func touch(_ path: String) throws(Errno)
  func truncate(_ path: String, to byteCount: Int) throws(Errno)
  /// lstat(2).
  func status(_ path: String) throws(Errno) -> ProgramStatus
  func read(_ path: String) throws(Errno) -> [UInt8]
  func readLink(_ path: String) throws(Errno) -> String
  /// The names in a directory, sorted.
  func names(in path: String) throws(Errno) -> [String]
}

/// A file that a program has open for writing. It is closed with its last reference at the latest.
package protocol ProgramFile: AnyObject, Sendable {
  /// write(2): all bytes, at the end if the file was opened so.
  func write(_ text: String) throws(Errno)
  func truncate(to byteCount: Int) throws(Errno)
  func close()
}

/// How a program opens a file for writing.
package struct OpenOptions: OptionSet, Sendable, Hashable {
  package let rawValue: Int
  package init(rawValue: Int) { self.rawValue = rawValue }

  package static let create = OpenOptions(rawValue: 1)
  package static let exclusively = OpenOptions(rawValue: 2)
  package static let emptied = OpenOptions(rawValue: 4)
  package static let atEnd = OpenOptions(rawValue: 8)
}

package struct ProgramStatus: Sendable, Hashable {
  package enum Kind: Sendable, Hashable { case file, directory, link, other }

  package var kind: Kind
  package var byteCount: Int64
  package var links: Int
  /// ctime and mtime, in nanoseconds since 1970.
  package var changed: Int64
  package var modified: Int64
}

extension ProgramFiles {
  /// Writes a file in place and closes it. Its directories are made.
  package func write(_ path: String, _ text: String) throws(Errno) {
    try makeDirectories(Self.parent(of: path))
    try write(text, to: path, [.create, .emptied])
  }

  package func append(_ path: String, _ text: String) throws(Errno) {
    try write(text, to: path, [.atEnd])
  }

  package func makeDirectories(_ path: String) throws(Errno) {
    if path.isEmpty || path == "/" || exists(path) { return }
    try makeDirectories(Self.parent(of: path))
    try makeDirectory(path)
  }

  /// Removes a file, or a directory with everything below.
  package func removeTree(_ path: String) throws(Errno) {
    guard isDirectory(path) else { return try remove(path) }
    for name in try names(in: path) { try removeTree(path + "/" + name) }
    try removeDirectory(path)
  }

  /// Whether something has the name, be it a link that leads nowhere.
  package func exists(_ path: String) -> Bool {
    if case .success = Result(catching: { () throws(Errno) in try status(path) }) { true } else { false }
  }

  package func isDirectory(_ path: String) -> Bool {
    guard case .success(let status) = Result(catching: { () throws(Errno) in try self.status(path) }) else {
      return false
    }
    return status.kind == .directory
  }

  package func text(_ path: String) throws(Errno) -> String {
    String(decoding: try read(path), as: UTF8.self)
  }

  private static func parent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
  }
}
