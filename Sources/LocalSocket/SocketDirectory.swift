// LocalSocket: sockets of this user on this machine. A client sends one line and gets one line.
//
// Glossary
//
// local socket   unix(7): a name in the file system that leads to a process
// stale          said of a socket's name whose process is gone: a connection is refused
// peer           the process at the other end; the kernel reports its user (SO_PEERCRED)
// patience       how long a peer may take
// notification   a message of a service to its service manager, such as systemd: a datagram (sd_notify(3))

import CLinux
import Glibc
import SystemPackage

/// A directory in which only this user can make and change names, such as those of sockets and locks.
///
/// The directory is held open, and names are resolved through `/proc/self/fd`. So the checked directory is
/// the one that is used, and the 107 bytes of a socket's address (unix(7)) suffice for any path of the
/// directory.
package final class SocketDirectory: Sendable {
  package let path: FilePath
  private let descriptor: FileDescriptor

  package enum Absence: Sendable {
    /// Create the directory and its missing parents, accessible to this user only.
    case isMade
    /// An absent directory is an error: `SocketError.absent`.
    case isAnError
  }

  /// - Throws: `SocketError` if the directory cannot be opened or created, or if other users could have put
  ///   files there.
  package init(path: FilePath, absence: Absence) throws(SocketError) {
    self.path = path
    if absence == .isMade { try Self.make(path) }
    let opened = open(path.string, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard opened >= 0 else {
      throw errno == ENOENT ? .absent(path) : .system("opening \(path)", Errno(rawValue: errno))
    }
    // Every property is set, so an error runs deinit, which closes it.
    descriptor = FileDescriptor(rawValue: opened)
    var facts = stat()
    guard fstat(opened, &facts) == 0, facts.st_uid == geteuid(), facts.st_mode & 0o022 == 0 else {
      throw .notOurs(path)
    }
  }

  deinit {
    // Nothing was written through this descriptor.
    _ = close(descriptor.rawValue)
  }

  /// The path by which a name in it is opened, bound, connected to, renamed and removed.
  package func address(of name: String) -> String { "/proc/self/fd/\(descriptor.rawValue)/\(name)" }

  /// The names of the sockets in the directory, sorted by bytes.
  package func names() throws(SocketError) -> [String] {
    // SAFETY: the stream lives in this call only. An entry is valid until the next readdir(3), and its name
    // is copied before that.
    guard let stream = opendir(address(of: ".")) else {
      throw .system("reading \(path)", Errno(rawValue: errno))
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      guard entry.pointee.d_type == UInt8(DT_SOCK) || entry.pointee.d_type == UInt8(DT_UNKNOWN) else {
        continue
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
        name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      names.append(name)
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Removes a name. An absent name is no error.
  package func remove(_ name: String) {
    _ = unlink(address(of: name))
  }

  private static func make(_ path: FilePath) throws(SocketError) {
    if mkdir(path.string, 0o700) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, path.lastComponent != nil else {
      throw .system("making \(path)", Errno(rawValue: errno))
    }
    try make(path.removingLastComponent())
    guard mkdir(path.string, 0o700) == 0 || errno == EEXIST else {
      throw .system("making \(path)", Errno(rawValue: errno))
    }
  }
}

/// An error of a socket or its directory.
package enum SocketError: Error, Sendable, Hashable {
  case absent(FilePath)
  /// Another user owns the directory, or could have written to it.
  case notOurs(FilePath)
  /// The name exists, but no process listens.
  case stale(String)
  /// The peer runs as another user.
  case strangeUser(String)
  case timedOut(String)
  /// The peer ended the connection before its answer was complete.
  case ended(String)
  case system(String, Errno)
}

extension SocketError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .absent(let path): "\(path) does not exist"
    case .notOurs(let path):
      "\(path) is not this user's own, or others may write there; own it and take their rights (chmod 700)"
    case .stale(let name): "\(name): its process is gone"
    case .strangeUser(let name): "\(name) belongs to another user"
    case .timedOut(let name): "\(name) does not answer"
    case .ended(let name): "\(name) ended before it had answered"
    case .system(let operation, let errno): "\(operation): \(errno)"
    }
  }
}
