import CLinux
import Glibc
import SystemPackage

/// The socket on which a service manager receives messages of its services: datagrams of `NAME=VALUE` lines
/// (sd_notify(3)).
package final class NotifySocket: Sendable {
  private let address: String
  private let descriptor: CInt

  /// How long a datagram may wait for room in the manager's queue. A manager that does not read for this long
  /// must not delay a mirror.
  private static let patienceSeconds: CInt = 5

  /// - Parameter address: the value of `NOTIFY_SOCKET`: an absolute path, or a name in the abstract namespace
  ///   that begins with `@` (unix(7)).
  /// - Throws: `SocketError.system` for any other address, such as `vsock:…`, and if no socket can be made.
  package init(address: String) throws(SocketError) {
    guard address.utf8.count > 1,
      address.utf8.first == UInt8(ascii: "/") || address.utf8.first == UInt8(ascii: "@")
    else {
      throw .system("using the notification socket \(address)", .addressFamilyNotSupported)
    }
    self.address = address
    descriptor = s3m_datagram_socket(Self.patienceSeconds)
    guard descriptor >= 0 else { throw .system("making a socket", Errno(rawValue: errno)) }
  }

  deinit {
    close(descriptor)
  }

  /// Sends one datagram. Blocks while the manager's queue is full, at most 5 seconds.
  ///
  /// - Parameter lines: `NAME=VALUE` each. A value must hold no line feed, because a line feed would begin
  ///   another line.
  package func send(_ lines: [String]) throws(SocketError) {
    let bytes = Array(lines.joined(separator: "\n").utf8)
    while true {
      // SAFETY: the buffer lives for the one call that reads it.
      let count = bytes.withUnsafeBytes { s3m_send_datagram(descriptor, address, $0.baseAddress, $0.count) }
      if count == bytes.count { return }
      if errno == EINTR { continue }
      throw .system("sending to the notification socket \(address)", Errno(rawValue: errno))
    }
  }
}
