import Foundation
import Glibc
import Synchronization
import SystemPackage

/// Files on this machine's disk.
package struct DiskFiles: ProgramFiles {
  package init() {}

  package func open(_ path: String, _ options: OpenOptions) throws(Errno) -> any ProgramFile {
    let descriptor = Glibc.open(path, O_WRONLY | O_CLOEXEC | Self.flags(options), 0o644)
    try Self.check(descriptor)
    return DiskFile(descriptor)
  }

  package func write(_ text: String, to path: String, _ options: OpenOptions) throws(Errno) {
    let writer = try SoleWriter(path, Self.flags(options))
    try writer.write(Array(text.utf8))
    try writer.close()
  }

  package func makeDirectory(_ path: String) throws(Errno) { try Self.check(mkdir(path, 0o755)) }
  package func remove(_ path: String) throws(Errno) { try Self.check(unlink(path)) }
  package func removeDirectory(_ path: String) throws(Errno) { try Self.check(rmdir(path)) }

  package func rename(_ path: String, to other: String) throws(Errno) {
    try Self.check(Glibc.rename(path, other))
  }

  package func exchange(_ path: String, with other: String) throws(Errno) {
    try Self.check(exchangeNames(path, other))
  }

  package func link(_ path: String, to other: String) throws(Errno) {
    try Self.check(Glibc.link(path, other))
  }

  package func symlink(_ path: String, to text: String) throws(Errno) {
    try Self.check(Glibc.symlink(text, path))
  }

  package func changeMode(_ path: String, _ mode: UInt32) throws(Errno) { try Self.check(chmod(path, mode)) }
  package func touch(_ path: String) throws(Errno) { try Self.check(utimes(path, nil)) }

  package func truncate(_ path: String, to byteCount: Int) throws(Errno) {
    try Self.check(Glibc.truncate(path, off_t(byteCount)))
  }

  package func status(_ path: String) throws(Errno) -> ProgramStatus {
    var status = stat()
    try Self.check(lstat(path, &status))
    return ProgramStatus(status)
  }

  package func read(_ path: String) throws(Errno) -> [UInt8] {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    try Self.check(descriptor)
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      try Self.check(Int32(count))
      if count == 0 { return bytes }
      bytes += piece[..<count]
    }
  }

  package func readLink(_ path: String) throws(Errno) -> String {
    var bytes = [UInt8](repeating: 0, count: 4_096)
    let count = bytes.withUnsafeMutableBytes { buffer in
      buffer.bindMemory(to: CChar.self).baseAddress.map { readlink(path, $0, buffer.count) } ?? -1
    }
    try Self.check(Int32(count))
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  package func names(in path: String) throws(Errno) -> [String] {
    guard let stream = opendir(path) else { throw Errno(rawValue: errno) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
        name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  private static func flags(_ options: OpenOptions) -> Int32 {
    (options.contains(.create) ? O_CREAT : 0) | (options.contains(.exclusively) ? O_EXCL : 0)
      | (options.contains(.emptied) ? O_TRUNC : 0) | (options.contains(.atEnd) ? O_APPEND : 0)
  }

  fileprivate static func check(_ result: Int32) throws(Errno) {
    if result < 0 { throw Errno(rawValue: errno) }
  }
}

private final class DiskFile: ProgramFile {
  private let descriptor: Mutex<Int32?>

  init(_ descriptor: Int32) { self.descriptor = Mutex(descriptor) }

  deinit { close() }

  func write(_ text: String) throws(Errno) {
    let bytes = Array(text.utf8)
    try use { descriptor in Int32(bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) })
    }
  }

  func truncate(to byteCount: Int) throws(Errno) { try use { ftruncate($0, off_t(byteCount)) } }

  func close() {
    descriptor.withLock { descriptor in
      if let open = descriptor { Glibc.close(open) }
      descriptor = nil
    }
  }

  private func use(_ call: (Int32) -> Int32) throws(Errno) {
    try descriptor.withLock { (descriptor) throws(Errno) in
      guard let descriptor else { throw .badFileDescriptor }
      try DiskFiles.check(call(descriptor))
    }
  }
}

extension ProgramStatus {
  package init(_ status: stat) {
    let kind: Kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .directory
      case S_IFLNK: .link
      default: .other
      }
    self.init(
      kind: kind, byteCount: Int64(status.st_size), links: Int(status.st_nlink),
      changed: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec),
      modified: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec))
  }
}

/// renameat2(2) with RENAME_EXCHANGE, which Glibc's module does not show.
@discardableResult
package func exchangeNames(_ left: String, _ right: String) -> Int32 {
  typealias Function =
    @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
  guard let symbol = dlsym(nil, "renameat2") else { return -1 }
  // SAFETY: the type is the one of the manual page; a symbol of the C library stays where it is.
  return unsafeBitCast(symbol, to: Function.self)(AT_FDCWD, left, AT_FDCWD, right, 1 << 1)
}
