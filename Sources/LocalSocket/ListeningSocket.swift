import CLinux
import Glibc
import SystemPackage

/// A named socket that accepts connections. Its name is removed with it. After a kill the name stays and is
/// stale.
final class ListeningSocket: Sendable {
  let descriptor: CInt
  private let directory: SocketDirectory
  private let name: String

  /// How many connections may wait to be accepted. Further ones are refused (listen(2)).
  private static let backlog: CInt = 16

  init(name: String, in directory: SocketDirectory) throws(SocketError) {
    let descriptor = s3m_local_socket()
    guard descriptor >= 0 else { throw .system("making a socket", Errno(rawValue: errno)) }
    // The name appears only when the socket listens; before that it would look stale. The mode is set before
    // there is a name: the kernel gives the name the mode of the socket's own inode, minus the mask (unix(7),
    // bind).
    let unready = ".\(name).new"
    directory.remove(unready)
    guard fchmod(descriptor, 0o600) == 0, s3m_bind_local(descriptor, directory.address(of: unready)) == 0,
      chmod(directory.address(of: unready), 0o600) == 0, listen(descriptor, Self.backlog) == 0,
      rename(directory.address(of: unready), directory.address(of: name)) == 0
    else {
      let fault = Errno(rawValue: errno)
      directory.remove(unready)
      close(descriptor)
      throw .system("making the socket \(directory.path.appending(name))", fault)
    }
    // Last: once every property is set, an error runs deinit, which closes the socket and removes the name, even
    // another's.
    self.descriptor = descriptor
    self.directory = directory
    self.name = name
  }

  deinit {
    directory.remove(name)
    close(descriptor)
  }

  enum Arrival {
    case connection(CInt)
    case none
    /// No descriptor is free, or a similar failure. The connection waits.
    case failure
  }

  /// The next connection of this user. Connections of other users are closed.
  func accept() -> Arrival {
    while true {
      let connection = s3m_accept_local(descriptor)
      guard connection >= 0 else {
        if errno == EINTR || errno == ECONNABORTED { continue }
        return errno == EAGAIN ? .none : .failure
      }
      var user = uid_t()
      // Root can do anything in any case.
      if s3m_peer_user(connection, &user) == 0, user == geteuid() || user == 0 {
        return .connection(connection)
      }
      close(connection)
    }
  }
}
