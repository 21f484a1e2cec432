import CLinux
import Glibc
import SystemPackage

/// One request to a `LineServer`, and its answer. Calls block.
package final class LineClient: Sendable {
  private let name: String
  private let descriptor: CInt

  /// The limit of an answer in bytes. A server that sends more is not one of this program.
  private static let longestAnswer = 64 << 20
  /// How long a server may take to accept a connection when many clients wait.
  private static let connectSeconds: CInt = 10

  /// - Throws: `SocketError`: `stale` if no process listens there, `strangeUser` if another user's process
  ///   does.
  package init(name: String, in directory: SocketDirectory) throws(SocketError) {
    let descriptor = s3m_local_client_socket(Self.connectSeconds)
    guard descriptor >= 0 else { throw .system("making a socket", Errno(rawValue: errno)) }
    // Every property is set, so an error runs deinit, which closes the socket.
    self.name = name
    self.descriptor = descriptor
    guard s3m_connect_local(descriptor, directory.address(of: name)) == 0 else {
      switch errno {
      case ECONNREFUSED: throw .stale(name)
      case ENOENT: throw .absent(directory.path.appending(name))
      // The server's queue of connections stayed full.
      case EAGAIN: throw .timedOut(name)
      default: throw .system("connecting to \(name)", Errno(rawValue: errno))
      }
    }
    var user = uid_t()
    guard s3m_peer_user(descriptor, &user) == 0, user == geteuid() else { throw .strangeUser(name) }
  }

  deinit {
    close(descriptor)
  }

  /// - Parameter line: without a newline.
  package func send(_ line: [UInt8]) throws(SocketError) {
    let bytes = line + [UInt8(ascii: "\n")]
    // SAFETY: the buffer lives for the one call that reads it. A request fits into the socket's empty buffer.
    let count = bytes.withUnsafeBytes { s3m_send_local(descriptor, $0.baseAddress, $0.count) }
    guard count == bytes.count else { throw .ended(name) }
  }

  /// The answer, without its newline.
  ///
  /// - Parameter patience: the longest silence; nil waits without limit.
  package func receive(patience: Duration?) throws(SocketError) -> [UInt8] {
    var line: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while line.count < Self.longestAnswer {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let limit = patience.map { CInt(clamping: Int64(($0 / .milliseconds(1)).rounded(.up))) } ?? -1
      let ready = poll(&entry, 1, limit)
      if ready < 0, errno == EINTR { continue }
      guard ready > 0 else { throw .timedOut(name) }
      // SAFETY: the buffer lives for the one call that fills it, and its own length is the limit.
      let count = piece.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR || errno == EAGAIN { continue }
      guard count > 0 else { throw .ended(name) }
      if let newline = piece[..<count].firstIndex(of: UInt8(ascii: "\n")) {
        return line + piece[..<newline]
      }
      line += piece[..<count]
    }
    throw .ended(name)
  }
}
